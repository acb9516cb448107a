"""A real mail server for one test: Debian's python3-aiosmtpd, STARTTLS and a login demanded.

What arrives is parsed by Python's `email`, which nobody here wrote, and printed as a line of JSON. Faults come first, one a
mail: `later` (451), `never` (550), `cut` (the mail is taken, and the connection ends before that is said).
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

certificate, key, user, password, *faults = sys.argv[1:]


class Handler:
    async def handle_DATA(self, server, session, envelope):
        fault = faults.pop(0) if faults else ""
        if fault == "later":
            return "451 4.3.0 come back later"
        if fault == "never":
            return "550 5.7.1 not from you"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = [part for part in mail.walk() if not part.is_multipart()]
        print(
            json.dumps(
                {
                    "fault": fault,
                    "tls": session.ssl is not None,
                    "login": session.authenticated,
                    "from": envelope.mail_from,
                    "recipients": envelope.rcpt_tos,
                    "headers": [[name, str(value)] for name, value in mail.items()],
                    "type": mail.get_content_type(),
                    "defects": [repr(defect) for part in mail.walk() for defect in part.defects],
                    "parts": [[part.get_content_type(), part.get_content()] for part in parts],
                    "size": len(envelope.content),
                }
            ),
            flush=True,
        )
        if fault == "cut":
            server.transport.abort()
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    well = isinstance(data, LoginPassword) and data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=well, handled=well)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


async def serve():
    loop = asyncio.get_running_loop()
    smtp = lambda: SMTP(
        Handler(),
        hostname="localhost",
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        auth_require_tls=True,
        authenticator=authenticate,
    )
    server = await loop.create_server(smtp, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(serve())
