import pytest

from app import cache

ADA = {"contact_email": "ada@example.com", "name": "Ada"}


@pytest.fixture
def ada(client):
    answer = client.post("/api/v1/users", json=ADA)
    assert answer.status_code == 201
    return answer.json()


def test_users_are_listed(client, ada):
    assert client.get("/api/v1/users").json() == [ada]


def test_a_user_is_read_from_the_cache_the_second_time(client, redis, ada):
    assert client.get(f"/api/v1/users/{ada['id']}").json() == ada
    key = cache.user_key(ada["id"])
    redis.values[key] = redis.values[key].replace("Ada", "From the cache")
    assert client.get(f"/api/v1/users/{ada['id']}").json()["name"] == "From the cache"


def test_a_renamed_user_is_not_served_stale(client, ada):
    path = f"/api/v1/users/{ada['id']}"
    client.get(path)
    assert client.patch(path, json={"name": "Ada Lovelace"}).status_code == 200
    assert client.get(path).json()["name"] == "Ada Lovelace"


def test_an_address_belongs_to_one_user(client, ada):
    assert client.post("/api/v1/users", json=ADA).status_code == 409


def test_an_unknown_user_and_a_wrong_address(client):
    assert client.get("/api/v1/users/7").status_code == 404
    wrong = {"contact_email": "nowhere", "name": "Nobody"}
    assert client.post("/api/v1/users", json=wrong).status_code == 422


def test_a_project_and_its_link(client, ada):
    project = client.post("/api/v1/projects", json={"name": "Engine", "owner_id": ada["id"]})
    assert project.status_code == 201
    url = client.get(f"/api/v1/projects/{project.json()['id']}/link").json()["url"]
    assert client.get(url).json() == project.json()
    assert client.get(f"{url}0").status_code == 403


def test_the_frontend_may_call(client):
    origin = "http://localhost:3000"
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    answer = client.options("/api/v1/users", headers=headers)
    assert answer.headers["access-control-allow-origin"] == origin
