"""A web server on this machine, with bad manners on demand. For tests."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Host:
    """A web server on this machine. `files[path] = (content, manner)`; manner is one of

    "" (answers as it should, ranges too), "slow" (trickles), "cut" (the first answer ends in the middle), "silent"
    (stops sending after 1,000 bytes), "no ranges", or a status such as 404. `asked` lists (path, Range header).
    """

    def __init__(self):
        self.files, self.asked, self.pause, host = {}, [], 0.05, self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                host.answer(self)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.stopping = threading.Event()
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_port}/{path}"

    def answer(self, request):
        path, asked = request.path.lstrip("/"), request.headers.get("Range")
        first = not any(path == other for other, _ in self.asked)
        self.asked.append((path, asked))
        request.close_connection = True
        content, manner = self.files.get(path, (b"", "404"))
        if manner.isdigit():
            return request.send_error(int(manner))
        start = int(asked[len("bytes=") : -1]) if asked and manner != "no ranges" else 0
        if start and start >= len(content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(content)}")
            request.send_header("Content-Length", "0")
            return request.end_headers()
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(content) - start))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        middle = start + (len(content) - start) // 2
        stop = middle if manner in ("cut", "no ranges") and first else len(content)
        if manner == "silent":
            stop = start + 1000
        step = 200 if manner == "slow" else len(content)
        try:
            for position in range(start, stop, step):
                request.wfile.write(content[position : min(position + step, stop)])
                if manner == "slow":
                    self.stopping.wait(self.pause)
            if manner == "silent":
                self.stopping.wait(30)
        except OSError:
            pass  # the other side has had enough

    def close(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
