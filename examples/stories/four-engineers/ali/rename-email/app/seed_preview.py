"""Seed the preview database with synthetic test data."""

import asyncio

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.database import engine
from app.models import Project, User


async def seed() -> None:
    async with AsyncSession(engine) as session:
        if (await session.exec(select(User).limit(1))).first():
            print("Database already seeded. Skipping.")
            return
        users = [
            User(contact_email="alice@example.com", name="Alice Reviewer"),
            User(contact_email="bob@example.com", name="Bob Dev"),
            User(contact_email="carol@example.com", name="Carol PM"),
        ]
        session.add_all(users)
        await session.flush()
        projects = [
            Project(name="Checkout", owner_id=users[0].id),
            Project(name="Search", owner_id=users[1].id),
        ]
        session.add_all(projects)
        await session.commit()
        print(f"Seeded {len(users)} users and {len(projects)} projects.")


async def main() -> None:
    try:
        await seed()
    finally:
        await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
