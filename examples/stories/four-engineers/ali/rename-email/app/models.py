"""The tables, and what the API takes and gives."""

from typing import Annotated

from pydantic import StringConstraints
from sqlmodel import Field, SQLModel

EmailAddress = Annotated[str, StringConstraints(max_length=320, pattern=r"^[^@\s]+@[^@\s]+$")]


class UserCreate(SQLModel):
    contact_email: EmailAddress
    name: str = Field(min_length=1, max_length=100)


class UserUpdate(SQLModel):
    name: str = Field(min_length=1, max_length=100)


class UserRead(SQLModel):
    id: int
    contact_email: str
    name: str


class User(SQLModel, table=True):
    __tablename__ = "users"

    id: int | None = Field(default=None, primary_key=True)
    contact_email: str = Field(max_length=320, unique=True, index=True)
    name: str = Field(max_length=100)


class ProjectCreate(SQLModel):
    name: str = Field(min_length=1, max_length=100)
    owner_id: int


class ProjectRead(SQLModel):
    id: int
    name: str
    owner_id: int


class Project(SQLModel, table=True):
    __tablename__ = "projects"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=100)
    owner_id: int = Field(foreign_key="users.id", index=True)
