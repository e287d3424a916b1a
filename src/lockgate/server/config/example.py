"""The commented example of a configuration, with every key; `lockgate config example` prints it.

Given the files that it names, it is a valid configuration with every key at its default.
"""

from __future__ import annotations

__all__ = ["EXAMPLE"]

EXAMPLE = """\
# Configuration of the Lockgate server.
#
# Check it:  lockgate config check lockgate.toml
# Run it:    lockgate serve --config lockgate.toml
#
# Every key is shown with its default and may be left out, except an account's name and home.
# Paths are relative to this file. ${VARIABLE} in a value comes from the environment ($${ is a plain ${).

# Where control connections are taken; may stand several times.
[[listener]]
address = "127.0.0.1"             # "0.0.0.0": every IPv4 address, "::": every IPv6 address
port = 2121
tls = "explicit"                  # explicit (AUTH TLS) | implicit (TLS at once) | none (clear FTP only)
                                  # any key of [policy] may stand here too, for this listener alone, and of
                                  # [tls]: certificate with key, client_ca, crl, the versions, ciphers,
                                  # unknown_names

[[listener]]
address = "127.0.0.1"
port = 2990
tls = "implicit"

[tls]
certificate = "server.pem"        # the chain, PEM, the server's own certificate first
key = "server.key"                # its private key, PEM, without a passphrase
client_ca = ""                    # the CA of the clients, PEM; when set, client certificates are asked for
crl = ""                          # revocation lists, PEM, one of each CA in client_ca; empty: none is checked
minimum_version = "1.2"           # 1.2 | 1.3
maximum_version = ""              # 1.2 | 1.3; empty: the newest there is
ciphers = ""                      # OpenSSL cipher list for TLS 1.2 (1.3 has safe ones only); empty: the safe default
unknown_names = "serve"           # serve | refuse: who names a host (SNI) that no certificate here is for
reload_seconds = 60               # how often these files are looked at for a change; 0: on SIGHUP only
expiry_warning_days = 30          # warn this long before a certificate or a revocation list ends
check_key_permissions = true      # refuse a key that other users of this machine can read

# One more certificate, shown to clients that name one of its hosts (SNI or HOST); may stand several times.
# All others are shown that of [tls].
# [[certificate]]
# names = []                      # such as ["ftp.example.org", "*.example.com"]; empty: those in the certificate
# certificate = "example.org.pem"
# key = "example.org.key"

# What must be protected, and how. A [[listener]] may say otherwise, and an [[account]] has the last word,
# except that control = "required" on a listener refuses USER in clear before it knows whose it is.
[policy]
control = "required"              # required | optional | forbidden: must USER be protected
data = "required"                 # required | optional | forbidden: must files and listings be protected
session_reuse = "auto"            # required | auto | off: must data resume control's TLS session
require_close_notify = true       # an upload that ends without TLS's own end mark is not complete
client_certificate = "off"        # off | optional | required | sufficient (USER alone logs in)
clear_command_channel = "off"     # off | after-login: may CCC end TLS on the control connection
legacy_auth = true                # take AUTH SSL, TLS-P and TLS-C too
acceptable_tls_version = "1.2"    # judged when TLS is up: an older one gets 421 (in an [[account]]: no login)
acceptable_ciphers = []           # the same for cipher suites, by OpenSSL's names; empty: all

# What is asked of data connections path by path; may stand several times, and needs not stand at all.
# The longest path that fits decides, whatever [policy], [[listener]] and [[account]] say of data.
# [[rule]]
# path = "/public"                # a folder or file as accounts see it; holds for all beneath it too
# direction = "any"               # upload | download | list | any
# data = "optional"               # required | optional | forbidden
# accounts = ["alice"]            # left out: for every account

[passive]
ports = "0"                       # "0": any free port; or "50000-50100", which a firewall must let in
address = ""                      # the IPv4 address in 227; empty: the control connection's own

[active]
enabled = true                    # PORT and EPRT, to the control peer's address and ports above 1023 only

# Commands that no RFC has. See docs/extensions.md.
[features]
hash_algorithms = ["SHA-256", "SHA-512", "CRC32"]  # of HASH; the first is the default, MD5 if you must; []: no HASH
hash_jobs = 2                     # files that are hashed at the same time; others wait
hash_seconds = 300                # the longest that one HASH may take, its wait included
compression = true                # MODE Z: zlib on data connections
compression_ratio_limit = 200     # an upload in MODE Z may expand this many times, past 64 MiB; 0: any

[limits]
sessions = 10000
sessions_per_address = 100
transfers = 1000                  # data connections at the same time
idle_seconds = 300                # without a command and without a transfer
login_seconds = 60                # from connecting (or REIN) until the login is done, whatever else is said
handshake_seconds = 15            # for a TLS handshake
data_open_seconds = 30            # for the data connection to come about
stall_seconds = 120               # without a byte moving on a data connection
drain_seconds = 30                # for running transfers when the server ends; a second signal ends them
login_attempts = 3                # then the session ends
lockout_failures_per_address = 50 # wrong passwords of one address, then 421 for a while; 0: never
lockout_failures_per_account = 20 # for one name from where it never logged in, then all fail there; 0: never
lockout_seconds = 900             # how long, and after how long without a failure they are forgotten
sessions_before_login = 1000      # more: the address with the most of them loses its oldest
sessions_per_account = 0          # 0: any number; an [[account]] may say sessions = N
connections_per_minute = 3000     # of one address, a tenth of it at once; 0: any number
stall_bytes = 1024                # a transfer that moves less within stall_seconds stands still
upload_rate = ""                  # bytes a second of all sessions together, such as "10 MiB"; "": as fast as it goes
download_rate = ""                # listings count too
session_upload_rate = ""          # of each session; an [[account]] may say otherwise for its own
session_download_rate = ""

# How much there may be in the home of each account; an [[account]] may say otherwise. See docs/quotas.md.
[quota]
quota_bytes = ""                  # such as "10 GiB"; "": any; parts of interrupted uploads count too
quota_files = 0                   # files and directories; 0: any

# How files are kept. Any key may stand in an [[account]] too, for this account alone. See docs/files.md.
[files]
uploads = "atomic"                # atomic (shown when whole) | in-place (written under their name as they come)
fsync = false                     # 226 only when file and directory are on the disk, not in its caches
umask = "027"                     # octal: what others may not do with new files and directories
owner = ""                        # whose they are, name or number; "": the server's own user
group = ""                        # other than its own: root or CAP_CHOWN alone may
hidden = []                       # names that are not there, such as ["*.tmp", ".git"]; case counts
symlinks = "inside"               # inside (followed while they stay in the home) | refuse

[passwords]
memory_kib = 47104                # argon2id parameters of `lockgate account hash --config`; fewer KiB need more
iterations = 1                    # iterations: 47104 with 1, 19456 with 2, 12288 with 3, 9216 with 4, 7168 with 5
parallelism = 1
hashes_at_once = 0                # 0: one a processor, 8 at most, in a quarter of the memory
remember_seconds = 300            # a right password is not computed again for so long; 0: always

[accounts]
database = ""                     # for later versions; empty: only the [[account]] entries of this file

# One who may log in; may stand several times.
[[account]]
name = "alice"
# No known password fits this one. Make your own with: lockgate account hash
password_hash = "$argon2id$v=19$m=47104,t=1,p=1$xi3zwYDDNTHSyxqZ3/Nb3A$tTvI5KpJKp7EcYp4YOOTmELE7WJ34B1wJm2LCuDarus"
home = "files/alice"              # created if missing; the account sees nothing outside
certificate_subject = ""          # RFC 4514, e.g. "CN=alice,O=Example": in the client certificate's subject
certificate_email = ""            # an e-mail address among its alternative names; all that is said must fit
certificate_uri = ""              # a URI among them
certificate_fingerprint = []      # SHA-256; several for a change of certificates: one of them must fit
sessions = 0                      # most at once, 0: any number; left out: limits.sessions_per_account
permissions = "read write delete list mkdir rename"
                                  # any key of [policy], [files] and [quota] may stand here too, for this account alone
                                  # and session_upload_rate, session_download_rate for each of its sessions,
                                  # upload_rate, download_rate for all of them together
"""  # noqa: E501
