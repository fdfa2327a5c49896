"""`/projects`: list, create, and a signed link for people without an account."""

import hashlib
import hmac

from fastapi import APIRouter, HTTPException
from sqlmodel import SQLModel, select

from app.config import settings
from app.models import Project, ProjectCreate, ProjectRead, User
from app.session import Session

router = APIRouter(prefix="/projects", tags=["projects"])


class Link(SQLModel):
    url: str


@router.get("", response_model=list[ProjectRead])
async def list_projects(session: Session, owner_id: int | None = None) -> list[Project]:
    wanted = select(Project).order_by(Project.id)
    if owner_id is not None:
        wanted = wanted.where(Project.owner_id == owner_id)
    return list(await session.exec(wanted))


@router.post("", response_model=ProjectRead, status_code=201)
async def create_project(new: ProjectCreate, session: Session) -> Project:
    if await session.get(User, new.owner_id) is None:
        raise HTTPException(404, f"There is no user {new.owner_id}.")
    project = Project.model_validate(new)
    session.add(project)
    await session.commit()
    return project


@router.get("/{project_id}/link")
async def link_project(project_id: int, session: Session) -> Link:
    """A link under the preview's own URL, valid as long as SECRET_KEY stays the same."""
    await find(project_id, session)
    path = f"{settings.api_v1_prefix}{router.prefix}/{project_id}/shared"
    return Link(url=f"{settings.preview_url}{path}?signature={sign(project_id)}")


@router.get("/{project_id}/shared", response_model=ProjectRead)
async def read_shared_project(project_id: int, signature: str, session: Session) -> Project:
    if not hmac.compare_digest(signature.encode(), sign(project_id).encode()):
        raise HTTPException(403, "The signature is wrong.")
    return await find(project_id, session)


async def find(project_id: int, session: Session) -> Project:
    if project := await session.get(Project, project_id):
        return project
    raise HTTPException(404, f"There is no project {project_id}.")


def sign(project_id: int) -> str:
    key = settings.secret_key.get_secret_value().encode()
    return hmac.new(key, f"project:{project_id}".encode(), hashlib.sha256).hexdigest()
