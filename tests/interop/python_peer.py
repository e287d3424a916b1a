"""Run pyftpdlib or aioftp as an FTPS server; started by peers.py with the peers' own Python."""

from __future__ import annotations

import argparse
import asyncio
import logging
import ssl


def main() -> None:
    """Read the command line and serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["pyftpdlib", "aioftp"])
    for name in ("host", "root", "user", "password", "certificate", "key"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--passive", type=int, nargs=2, required=True)
    parser.add_argument("--minimum", required=True)
    parser.add_argument("--maximum", required=True)
    parser.add_argument("--protected-data", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    if options.kind == "pyftpdlib":
        serve_pyftpdlib(options)
    else:
        asyncio.run(serve_aioftp(options))


def serve_pyftpdlib(options: argparse.Namespace) -> None:
    from OpenSSL import SSL
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import TLS_FTPHandler
    from pyftpdlib.servers import FTPServer

    numbers = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
    authorizer = DummyAuthorizer()
    authorizer.add_user(options.user, options.password, options.root, perm="elradfmwMT")

    class Handler(TLS_FTPHandler):
        certfile = options.certificate
        keyfile = options.key
        tls_control_required = True
        tls_data_required = options.protected_data
        passive_ports = range(options.passive[0], options.passive[1] + 1)

    Handler.authorizer = authorizer
    Handler.ssl_context = Handler.get_ssl_context()
    Handler.ssl_context.set_min_proto_version(numbers[options.minimum])
    Handler.ssl_context.set_max_proto_version(numbers[options.maximum])
    FTPServer((options.host, options.port), Handler).serve_forever()


async def serve_aioftp(options: argparse.Namespace) -> None:
    from aioftp import Permission, Server, User

    numbers = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.certificate, options.key)
    context.minimum_version = numbers[options.minimum]
    context.maximum_version = numbers[options.maximum]
    user = User(options.user, options.password, base_path=options.root, permissions=[Permission("/")])
    ports = range(options.passive[0], options.passive[1] + 1)
    await Server([user], ssl=context, data_ports=ports).run(options.host, options.port)


if __name__ == "__main__":
    main()
