"""Calls a service with the client that openapi-python-client generated from its openapi.yaml.

python openapi.py URL IMAGE
"""

import sys
from io import BytesIO
from pathlib import Path

from mkd_client import Client
from mkd_client.api.detectors import get_detector, list_detectors
from mkd_client.api.scoring import score
from mkd_client.models import DetectorInfo, DetectorList, Images, Problem, Result, ScoreAnswer
from mkd_client.types import File

url, path = sys.argv[1:]
client = Client(base_url=url)
listed = list_detectors.sync(client=client)
assert isinstance(listed, DetectorList), listed
info = get_detector.sync(listed.detectors[0].name, client=client)
assert isinstance(info, DetectorInfo), info
file = File(payload=BytesIO(Path(path).read_bytes()), file_name=Path(path).name, mime_type="image/png")
answer = score.sync(info.name, client=client, body=Images(image=[file]))
assert isinstance(answer, ScoreAnswer), answer
[result] = answer.results
assert isinstance(result, Result), result
refused = get_detector.sync_detailed("nowhere", client=client)
assert refused.status_code == 404, refused
print(f"Python: {info.name} {info.version}: {result.verdict}, score {result.score:.4f}, {len(result.layers)} layers")
