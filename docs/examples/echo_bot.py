"""A bot that answers every message with its own words.

Register its account first, then start it:

python client.py --server securechat://... --user echo --password-file echo.password register
python docs/examples/echo_bot.py --user echo --password-file echo.password
"""

import json
import subprocess
import sys
from contextlib import suppress

client = subprocess.Popen(
    [sys.executable, "client.py", *sys.argv[1:], "daemon"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
)
assert client.stdin is not None
assert client.stdout is not None

with suppress(KeyboardInterrupt):
    for line in client.stdout:
        event = json.loads(line)
        if event["type"] == "message":
            request = {"do": "send", "to": event["from"], "text": event["text"], "answers": event["id"]}
            client.stdin.write(json.dumps(request) + "\n")
            client.stdin.flush()

client.stdin.close()
sys.exit(client.wait())
