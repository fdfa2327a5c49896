"""Errors as RFC 9457 problem documents, and as pages on the dashboard."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from previewdrop.domain.errors import (
    BadInput,
    Conflict,
    NotFound,
    PreviewDropError,
    StageFailed,
    Unavailable,
)
from previewdrop.web.api.schema import Problem
from previewdrop.web.pages.sorry import sorry
from previewdrop.web.session import DASHBOARD

STATUS: dict[type[PreviewDropError], HTTPStatus] = {
    BadInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    StageFailed: HTTPStatus.CONFLICT,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def problem_of(error: PreviewDropError) -> Problem:
    """The problem document of one of our errors; 500 for those that are our own."""
    status = next(
        (status for kind, status in STATUS.items() if isinstance(error, kind)),
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    return Problem(title=status.phrase, status=status, detail=error.message, hint=error.hint)


def add_problem_handlers(app: FastAPI) -> None:
    """Makes every error of the app a problem document, or a page."""

    async def ours(request: Request, error: Exception) -> Response:
        if not isinstance(error, PreviewDropError):
            raise error
        return _response(request, problem_of(error))

    async def http(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        status = HTTPStatus(error.status_code)
        problem = Problem(title=status.phrase, status=status, detail=str(error.detail))
        return _response(request, problem)

    async def invalid(request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        detail = f"{place}: {first['msg']}."
        return _response(request, Problem(title=status.phrase, status=status, detail=detail))

    app.add_exception_handler(PreviewDropError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def _response(request: Request, problem: Problem) -> Response:
    """A page for those who look at the dashboard."""
    if request.url.path.startswith(DASHBOARD):
        return sorry(problem.detail, problem.hint or "", HTTPStatus(problem.status))
    return JSONResponse(
        problem.model_dump(), status_code=problem.status, media_type="application/problem+json"
    )
