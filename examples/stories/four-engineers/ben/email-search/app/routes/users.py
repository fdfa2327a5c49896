"""`/users`: list, search, read (cached), create, rename."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from app import cache
from app.models import User, UserCreate, UserRead, UserUpdate
from app.session import Session

router = APIRouter(prefix="/users", tags=["users"])


@router.get("", response_model=list[UserRead])
async def list_users(
    session: Session,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> list[User]:
    users = await session.exec(select(User).order_by(User.id).limit(limit).offset(offset))
    return list(users)


@router.get("/search", response_model=list[UserRead])
async def search_users(
    session: Session, email: Annotated[str, Query(min_length=2, description="A part of it")]
) -> list[User]:
    found = select(User).where(col(User.email).icontains(email, autoescape=True))
    return list(await session.exec(found.order_by(User.email).limit(50)))


@router.get("/{user_id}")
async def read_user(user_id: int, session: Session) -> UserRead:
    if cached := await cache.read_user(user_id):
        return cached
    user = UserRead.model_validate(await find(user_id, session))
    await cache.write_user(user)
    return user


@router.post("", response_model=UserRead, status_code=201)
async def create_user(new: UserCreate, session: Session) -> User:
    user = User.model_validate(new)
    session.add(user)
    try:
        await session.commit()
    except IntegrityError as error:
        raise HTTPException(409, "There is a user with this e-mail address.") from error
    return user


@router.patch("/{user_id}", response_model=UserRead)
async def rename_user(user_id: int, change: UserUpdate, session: Session) -> User:
    user = await find(user_id, session)
    user.name = change.name
    await session.commit()
    await cache.forget_user(user_id)
    return user


async def find(user_id: int, session: Session) -> User:
    if user := await session.get(User, user_id):
        return user
    raise HTTPException(404, f"There is no user {user_id}.")
