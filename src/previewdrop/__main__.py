"""`python -m previewdrop` is `previewdrop`."""

from previewdrop.cli import main

if __name__ == "__main__":
    main()
