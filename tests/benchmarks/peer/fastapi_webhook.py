"""The peer: the documented job of a generic webhook as one writes it with FastAPI, in memory.

Basic credentials, one object or an array of them to incidents, and an answer with the metadata of
what was created. It keeps the last incidents, and checks nothing that the documents do not name.
"""

import collections
import datetime
import json
import secrets

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials

app = FastAPI()
kept = collections.deque(maxlen=100_000)
created = 0


# Not a plain function, which FastAPI would hand to another thread.
async def authorized(credentials: HTTPBasicCredentials = Depends(HTTPBasic())):
    good = secrets.compare_digest(credentials.username.encode(), b"user")
    if not (secrets.compare_digest(credentials.password.encode(), b"pass") and good):
        raise HTTPException(status_code=401, detail="Authorization failed.")


def to_incident(item, headers):
    global created
    created += 1
    now = datetime.datetime.utcnow().isoformat() + "Z"
    details = dict(item.get("rawJson") or item.get("raw_json") or item)
    details["headers"] = headers
    kept.append(json.dumps(details))
    return {
        "id": str(created),
        "name": item.get("name") or "Generic webhook triggered incident",
        "type": item.get("type") or "Phishing",
        "occurred": item.get("occurred") or now,
        "created": now,
        "sourceBrand": "Generic Webhook",
        "sourceInstance": "webhook",
    }


@app.post("/", dependencies=[Depends(authorized)])
async def receive(request: Request):
    try:
        body = await request.json()
    except ValueError as error:
        raise HTTPException(status_code=400, detail="not JSON") from error
    headers = {name: value for name, value in request.headers.items() if name != "authorization"}
    return [to_incident(item, headers) for item in (body if isinstance(body, list) else [body])]
