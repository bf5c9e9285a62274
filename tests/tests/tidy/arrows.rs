//! Which crate may depend on which, and what must never be linked into what.

use std::collections::{BTreeMap, BTreeSet};

use super::cargo;

/// Every arrow of the design between our packages. Development dependencies count: a test that needs another tool's
/// crate belongs into `tests/`.
const ARROWS: &[(&str, &[&str])] = &[
    ("perennial-schemas", &[]),
    ("perennial-label", &["perennial-schemas"]),
    ("perennial-gate", &["perennial-schemas"]),
    ("perennial-guess", &["perennial-schemas"]),
    ("perennial-zstd-sequences", &[]),
    ("perennial-device-core", &["perennial-schemas", "perennial-zstd-sequences"]),
    ("perennial-device", &["perennial-device-core", "perennial-schemas"]),
    (
        "perennial-signer",
        &[
            "perennial-device-core",
            "perennial-gate",
            "perennial-guess",
            "perennial-label",
            "perennial-schemas",
            "perennial-zstd-sequences",
        ],
    ),
    (
        "perennial-server",
        &[
            "perennial-device-core",
            "perennial-gate",
            "perennial-guess",
            "perennial-label",
            "perennial-schemas",
        ],
    ),
    (
        "perennial-examples",
        &[
            "perennial-device",
            "perennial-device-core",
            "perennial-schemas",
            "perennial-server",
            "perennial-signer",
        ],
    ),
    (
        "perennial-tests",
        &[
            "perennial-device",
            "perennial-device-core",
            "perennial-examples",
            "perennial-schemas",
            "perennial-server",
            "perennial-signer",
            "perennial-zstd-sequences",
        ],
    ),
];

/// What speaks to a network, or is of no use to anything that doesn't.
const NETWORK: &[&str] = &[
    "axum",
    "curl",
    "h2",
    "hickory-resolver",
    "hyper",
    "hyper-util",
    "mio",
    "quinn",
    "reqwest",
    "rustls-native-certs",
    "socket2",
    "tokio-rustls",
    "tonic",
    "ureq",
];

/// What tough alone brings into the signer that has to do with TLS: it verifies signatures with rustls' algorithms.
/// It opens no connection, as its `http` feature is off.
const ONLY_UNDER_TOUGH: &[&str] = &["aws-lc-rs", "aws-lc-sys", "rustls", "rustls-webpki"];

#[test]
fn packages_depend_along_the_arrows_only() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let metadata: serde_json::Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1", "--locked"]))
            .unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(
        packages.iter().map(|package| package["name"].as_str().unwrap()).collect::<BTreeSet<_>>(),
        allowed.keys().copied().collect(),
        "the table in this file lists every package of the workspace"
    );
    for package in packages {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            let itself = to == name && dependency["kind"] == "dev"; // its own tests, with a feature on
            assert!(
                !allowed.contains_key(to) || itself || allowed[name].contains(&to),
                "{name} depends on {to}: there is no such arrow in the design"
            );
        }
    }
}

#[test]
fn the_signer_has_no_network_in_its_own_tree() {
    let own = tree("perennial-signer", &["tough"]);
    for (name, features) in &own {
        assert!(
            !NETWORK.contains(&name.as_str()),
            "the signer links {name}: it works on a machine without a network"
        );
        assert!(!ONLY_UNDER_TOUGH.contains(&name.as_str()), "the signer links {name} by itself");
        assert!(
            name != "tokio" || features.split(',').all(|feature| feature != "net"),
            "the signer turns on tokio's `net`"
        );
    }
    // The second opinion, listed: it adds TLS algorithms, and no socket either.
    let whole = tree("perennial-signer", &[]);
    let added: BTreeSet<&str> =
        whole.keys().map(String::as_str).filter(|name| !own.contains_key(*name)).collect();
    for name in NETWORK {
        assert!(!added.contains(name), "tough brings {name} into the signer");
    }
    for name in ONLY_UNDER_TOUGH {
        assert!(added.contains(name), "tough no longer brings {name}: take it off the list");
    }
}

#[test]
fn only_the_signer_links_aws_lc() {
    for package in ["perennial-schemas", "perennial-device-core", "perennial-device", "perennial-server"] {
        let tree = tree(package, &[]);
        for name in ["aws-lc-rs", "aws-lc-sys", "openssl-sys"] {
            assert!(!tree.contains_key(name), "{package} links {name}: its crypto is ring");
        }
    }
}

#[test]
fn the_core_needs_no_runtime() {
    for name in tree("perennial-device-core", &[]).keys() {
        assert!(
            !["tokio", "rustix", "hyper", "rustls", "std"].contains(&name.as_str()),
            "the core links {name}: it does no IO"
        );
    }
}

/// Crates that a build of this package alone links on this machine, with their features; nothing below `without`.
fn tree(package: &str, without: &[&str]) -> BTreeMap<String, String> {
    let listing = cargo(&[
        "tree",
        "--locked",
        "--package",
        package,
        "--edges",
        "normal",
        "--no-dedupe",
        "--prefix",
        "depth",
        "--format",
        " {p}|{f}",
    ]);
    let mut found = BTreeMap::new();
    let mut hidden_below: Option<usize> = None;
    for line in listing.lines() {
        let (depth, rest) = line.split_once(' ').unwrap();
        let depth: usize = depth.parse().unwrap();
        let (package, features) = rest.split_once('|').unwrap();
        let name = package.split(' ').next().unwrap();
        if hidden_below.is_some_and(|level| depth > level) {
            continue;
        }
        hidden_below = without.contains(&name).then_some(depth);
        if hidden_below.is_none() {
            found.insert(name.to_owned(), features.to_owned());
        }
    }
    assert!(found.len() > 1, "cargo tree lists nothing for {package}");
    found
}
