"""PreviewDrop against the bare tools, measured in the same run on the same machine."""
