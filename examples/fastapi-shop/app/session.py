"""One database session a request."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from sqlmodel.ext.asyncio.session import AsyncSession

from app import database


async def get_session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(database.engine, expire_on_commit=False) as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
