"""moto's S3 server with atomic conditional writes.

    python locked_moto.py PORT

moto compares ETags and then stores, without a lock in between: under load two writers win. Amazon's
S3 does not do that, so here the verbs that look before they change take turns.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
from typing import Any

from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

_turn = threading.RLock()


def _alone(verb: Any) -> Any:
    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> Any:
        with _turn:
            return verb(*args, **kwargs)

    return run


for _name in ("put_object", "_key_response_post", "delete_object", "copy_object"):
    setattr(S3Response, _name, _alone(getattr(S3Response, _name)))

if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    ThreadedMotoServer("127.0.0.1", int(sys.argv[1])).start()
    threading.Event().wait()
