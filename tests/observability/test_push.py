"""A POST to somebody else: to that host alone, over TLS that is verified, within the time that it has."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from jwtpizza.observability import push
from tests.orders.wire import Wire, answering


class _Request(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.requests.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def write_certificate(path, name):
    """A certificate that vouches for itself, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "chat")])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*plain) + certificate.public_bytes(serialization.Encoding.PEM))
    return str(path)


@pytest.fixture
def chat(tmp_path):
    """Starts a server whose certificate is for that name; what it was sent is in `requests`."""
    servers = []

    def start(name):
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Request)
        server.requests, server.certificate = [], write_certificate(tmp_path / "chat.pem", name)
        # Its half of a handshake that the client ends is an error that nobody needs to read.
        server.handle_error = lambda *_: None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.url = urlsplit(f"https://127.0.0.1:{server.server_port}/hook")
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_certificate_that_somebody_vouches_for_is_trusted(chat, monkeypatch):
    chat = chat(x509.IPAddress(ip_address("127.0.0.1")))
    monkeypatch.setenv("SSL_CERT_FILE", chat.certificate)
    assert push.post(chat.url, b"hot", {}, total=10) == (204, 0.0)
    assert chat.requests == [b"hot"]


def test_one_that_nobody_vouches_for_is_not(chat):
    chat = chat(x509.IPAddress(ip_address("127.0.0.1")))
    with pytest.raises(ssl.SSLCertVerificationError):
        push.post(chat.url, b"hot", {}, total=10)
    assert chat.requests == []


def test_nor_is_one_that_is_somebody_elses(chat, monkeypatch):
    chat = chat(x509.DNSName("chat.example"))
    monkeypatch.setenv("SSL_CERT_FILE", chat.certificate)
    with pytest.raises(ssl.SSLCertVerificationError):
        push.post(chat.url, b"hot", {}, total=10)
    assert chat.requests == []


@pytest.fixture
def wire():
    wire = Wire(answering("204 No Content"))
    yield wire
    wire.close()


def test_each_address_of_a_host_is_tried(wire, monkeypatch):
    port = urlsplit(wire.url).port
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", _once(found, socket.getaddrinfo))
    assert push.post(urlsplit(f"http://chat.example:{port}/hook"), b"hot", {}, total=10).status == 204
    assert f"Host: chat.example:{port}\r\n".encode() in wire.requests[0]


def _once(answer, then):
    """The first call has that answer; create_connection resolves an address, too, as it always does."""
    left = [answer]
    return lambda *args, **how: left.pop() if left else then(*args, **how)


def test_a_silent_handshake_takes_no_more_time_than_there_is():
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError):
        push.post(urlsplit(f"https://127.0.0.1:{silent.getsockname()[1]}/hook"), b"hot", {}, total=0.2)


def test_a_head_without_end_is_read_in_part():
    def behaviour(line):
        line.read_request()
        line.send(b"HTTP/1.1 204 No Content\r\n" + b"X: y\r\n" * 50 + b"X-Long: " + b"z" * 10 * push.MOST_HEAD)

    wire = Wire(behaviour)
    assert push.post(urlsplit(f"{wire.url}/hook"), b"hot", {}, total=10).status == 204
    wire.close()
