//! Every configuration key, with its default and what it means: the one source of the documented reference, of the
//! file that `init --config` writes, and of the check for unknown keys. It never reads a value.

/// One key of the configuration file.
#[derive(Debug)]
pub struct Key {
    /// The dotted name, as in `limits.idle`.
    pub path: &'static str,
    /// The default, as TOML; empty where the key has none and must be given when it is needed.
    pub default: &'static str,
    /// What it means, and when to change it.
    pub doc: &'static str,
}

const fn key(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { path, default, doc }
}

/// All keys, in the order of the reference; keys of one table stand together.
pub const KEYS: &[Key] = &[
    key("state", "", "Folder with keys, store and blobs, made by `perennial-server init`. Required."),
    key(
        "serve.plain",
        "[\"[::]:8080\"]",
        "Addresses that answer over plain HTTP. Updates are safe over it, because devices verify signatures; pages are not private.",
    ),
    key("serve.tls", "[]", "Addresses that answer over TLS; needs tls.certificate and tls.key."),
    key(
        "serve.cores",
        "0",
        "Threads that serve, each with its own listeners; 0 is one for each processor core.",
    ),
    key(
        "serve.public",
        "\"\"",
        "The address under which the world reaches this server, such as https://updates.maker.example: feeds and labels name it.",
    ),
    key("tls.certificate", "", "PEM file with the certificate chain, leaf first."),
    key("tls.key", "", "PEM file with the private key; only its owner should be able to read it."),
    key("tls.allow_tls12", "false", "Accept TLS 1.2 too, for devices that can't speak 1.3."),
    key(
        "tls.reload",
        "\"1m\"",
        "How often the two files are looked at for a renewed certificate; SIGHUP looks at once.",
    ),
    key(
        "admin.listen",
        "\"127.0.0.1:7870\"",
        "Address of the admin listener, \"\" for none; beyond loopback it needs admin.tls.",
    ),
    key("admin.tls", "false", "Serve the admin listener over TLS, with tls.certificate."),
    key(
        "admin.rate",
        "20",
        "Requests a second that one token may make on the admin listener, four times as many in a burst; more are answered 429. The socket in the state folder has no such limit.",
    ),
    key(
        "timestamp.validity",
        "\"1d\"",
        "How long a signed timestamp lasts: how long a frozen copy of this server can go unnoticed.",
    ),
    key(
        "timestamp.renew_after",
        "\"12h\"",
        "Age at which the timestamp is signed anew; half of timestamp.validity unless given.",
    ),
    key(
        "keep.generations",
        "10",
        "Published states that are kept, the served one among them; 0 keeps all, else at least 2. Content that none of them names is removed, but never a file inside the time for which a release promised it.",
    ),
    key(
        "store.engine",
        "\"fjall\"",
        "What holds the records: \"fjall\" or \"sled\", both in the state folder, or \"postgres\". Unless given, what the state was made with; `perennial-server store migrate` changes it.",
    ),
    key(
        "store.url_file",
        "",
        "For postgres: a file that holds the database's URL, such as postgresql://perennial:password@db.example/perennial?sslmode=require; only its owner should be able to read it.",
    ),
    key(
        "store.ca",
        "",
        "For postgres over TLS: PEM file with the certificates to trust in place of the system's.",
    ),
    key("store.cache", "\"32MiB\"", "Memory that the engine may use to keep records at hand."),
    key(
        "store.reserve",
        "\"64MiB\"",
        "Room that stays free on the store's disk: with less, nothing more is recorded (507) until there is room again but what stops a rollout or a device, and nothing that was acknowledged is lost.",
    ),
    key("cache.fresh", "\"1m\"", "How long a cache may keep what changes: timestamp.json and the pages."),
    key(
        "cache.missing",
        "\"30s\"",
        "How long a cache may keep a 404, such as the next root that doesn't exist yet.",
    ),
    key(
        "limits.connections",
        "16384",
        "Open connections in all; further ones wait in the kernel's queue. Against exhaustion of memory and descriptors.",
    ),
    key(
        "limits.connections_per_address",
        "1024",
        "Open connections of one address (of one /64 for IPv6), 0 for no limit; further ones are closed. Raise it behind a proxy.",
    ),
    key("limits.handshake", "\"10s\"", "Time for a TLS handshake."),
    key(
        "limits.head",
        "\"10s\"",
        "Time from the first byte of a request to the end of its headers. Against slow-header attacks.",
    ),
    key("limits.idle", "\"75s\"", "Time that a connection may rest between requests."),
    key(
        "limits.stall",
        "\"30s\"",
        "A reader must take at least limits.stall_bytes in each such span. Against slow-read attacks.",
    ),
    key(
        "limits.stall_bytes",
        "\"16KiB\"",
        "See limits.stall; the default asks for about 550 bytes a second.",
    ),
    key(
        "limits.head_bytes",
        "\"16KiB\"",
        "Size of a request line with its headers, at least 8KiB; more is answered 431.",
    ),
    key("limits.streams", "64", "Concurrent HTTP/2 requests on one connection."),
    key("limits.bundle", "\"16GiB\"", "Size of a bundle pushed to the admin listener."),
    key(
        "limits.upload",
        "\"1m\"",
        "The sender of a bundle must send at least limits.upload_bytes in each such span. One bundle is taken in at a time, and the next ones wait for it.",
    ),
    key(
        "limits.upload_bytes",
        "\"1MiB\"",
        "See limits.upload; the default asks for about 17 KB a second. Time that the server itself takes doesn't count.",
    ),
    key(
        "limits.body",
        "\"10s\"",
        "The sender of a device's request must send at least limits.body_bytes of its body in each such span.",
    ),
    key("limits.body_bytes", "\"8KiB\"", "See limits.body; a shorter body must be there whole."),
    key("limits.drain", "\"20s\"", "Time that open answers get to finish at shutdown."),
    key(
        "fleet.tls",
        "[]",
        "Addresses where devices with a certificate enrol, check in and report, such as [\"[::]:8444\"]; needs tls.certificate, tls.key and fleet.ca.",
    ),
    key(
        "fleet.without_tls",
        "[]",
        "Addresses where proxies that end TLS hand devices' requests on; needs fleet.proxies, or fleet.lab.",
    ),
    key(
        "fleet.proxies",
        "[]",
        "Networks whose word is taken for the certificate that a device showed (Client-Cert, RFC 9440), such as [\"10.0.0.0/8\"]. The path is verified again.",
    ),
    key(
        "fleet.lab",
        "false",
        "Take reports on fleet.without_tls of whoever says to be a device. For laboratories only: none of it is evidence.",
    ),
    key(
        "fleet.ca",
        "",
        "PEM file with the maker's device CA certificate, or several: whose devices these are.",
    ),
    key(
        "fleet.enrolment_certificate",
        "",
        "PEM file with the certificate that the device CA gave this server's enrolment key; without it no device can enrol here.",
    ),
    key(
        "fleet.revocations",
        "",
        "PEM file with the device CA's revocation list, looked at as often as tls.reload says.",
    ),
    key(
        "fleet.serials",
        "",
        "File with the devices' serial numbers, one a line, up to 100000: a key that is made from one of them is refused at enrolment. Looked at as often as tls.reload says.",
    ),
    key("fleet.certificate_days", "90", "Life of a fleet certificate; devices renew after two thirds of it."),
    key("fleet.check_in", "\"1d\"", "When devices are asked to check in again."),
    key("fleet.rate", "1", "Requests of one device per second, on average; more are answered 429."),
    key("fleet.burst", "30", "Requests of one device at once, after a rest."),
    key(
        "fleet.daily_reports",
        "\"2MiB\"",
        "Bytes of reports that one device may hand in within a day; more are answered 429, and it keeps them. The longest queue of reports has 512KiB.",
    ),
    key(
        "fleet.queue",
        "20000",
        "Reports that may wait to be written down, about a KiB each; past it the answer is 503 with Retry-After.",
    ),
    key(
        "fleet.large_bodies",
        "\"64MiB\"",
        "Bodies of more than 32KiB that may be on their way at once, in bytes; at least 8MiB, which one device may have.",
    ),
    key(
        "fleet.slow_after",
        "\"10s\"",
        "After that, a body that comes at less than 256KiB a second gives its room up where others need it.",
    ),
    key("fleet.keep.reports", "\"365d\"", "How long reports are kept; at least 1d."),
    key(
        "fleet.keep.devices",
        "\"1095d\"",
        "Devices that nothing was heard of for so long are erased; revocations stay.",
    ),
    key(
        "fleet.page.third_parties",
        "[]",
        "Whom you hand what devices tell on to, and what for: a line each, shown on the page /support/device-data.",
    ),
    key(
        "fleet.page.withdraw",
        "",
        "How an owner withdraws consent on your products, in your words, for the same page; empty: by the agent's command.",
    ),
    key(
        "rollout.silence",
        "3",
        "A device that began with a release and wasn't heard of for so many times fleet.check_in counts as missing: it holds the next phase back, and never halts a rollout.",
    ),
    key("log.format", "\"text\"", "\"text\" for people, \"json\" for collectors."),
    key(
        "log.level",
        "\"info\"",
        "error, warn, info, debug or trace; also a filter such as \"info,hyper=debug\".",
    ),
    key("log.access", "false", "Log each request of the static plane (path and status, never the address)."),
];

/// The documented reference: a TOML file with every key, its default and its meaning; keys that hold their default
/// are commented out, so that the file says what was changed.
pub fn reference(state: &str) -> String {
    let mut out =
        String::from("# perennial-server: every key, with its default. Remove a `#` to change one.\n");
    let mut table = "";
    for key in KEYS {
        let (section, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if section != table {
            out.push_str(&format!("\n[{section}]\n"));
            table = section;
        }
        out.push_str(&format!("# {}\n", key.doc));
        if key.path == "state" {
            out.push_str(&format!("{name} = {}\n", toml::Value::from(state)));
        } else if key.default.is_empty() {
            out.push_str(&format!("#{name} = \"\"\n"));
        } else {
            out.push_str(&format!("#{name} = {}\n", key.default));
        }
    }
    out
}
