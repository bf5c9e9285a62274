use super::*;

/// Text that looks made by chance, of a class, the same every time.
fn chance(length: usize, letters: &str) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let mut state = 7_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        letters[(state >> 33) as usize % letters.len()]
    };
    std::iter::repeat_with(next).take(length).collect()
}

const WORD: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn pem(label: &str) -> String {
    format!("-----BEGIN {label}-----\n{}\n{}\n-----END {label}-----\n", chance(64, WORD), chance(40, WORD))
}

/// One of every kind. Put together here, so that no scanner of source code finds them.
fn samples() -> Vec<(String, &'static str)> {
    let token = |prefix: &str, count| format!("{prefix}{}", chance(count, WORD));
    let base64 = |text: &str| {
        let mut out = String::new();
        let letters: Vec<char> =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().collect();
        for part in text.as_bytes().chunks(3) {
            let n = part.iter().fold(0_u32, |n, byte| (n << 8) | u32::from(*byte)) << (8 * (3 - part.len()));
            (0..=part.len()).for_each(|i| out.push(letters[(n >> (18 - 6 * i)) as usize & 63]));
        }
        out
    };
    let jwt = format!(
        "{}.{}.{}",
        base64("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"),
        base64("{\"iss\":\"cloud\",\"exp\":1999999999}"),
        chance(43, WORD)
    );
    vec![
        (pem("PRIVATE KEY"), "a private key (PEM, PRIVATE KEY)"),
        (pem("RSA PRIVATE KEY"), "a private key (PEM, RSA PRIVATE KEY)"),
        (pem("OPENSSH PRIVATE KEY"), "a private key (PEM, OPENSSH PRIVATE KEY)"),
        (pem("ENCRYPTED PRIVATE KEY").replace('\n', "\\n"), "a private key (PEM, ENCRYPTED PRIVATE KEY)"),
        (pem("EC PRIVATE KEY").replace('\n', "\r\n"), "a private key (PEM, EC PRIVATE KEY)"),
        (
            pem("RSA PRIVATE KEY").replacen(
                '\n',
                "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n",
                1,
            ),
            "a private key (PEM, RSA PRIVATE KEY)",
        ),
        (
            format!(
                "PuTTY-User-Key-File-3: ssh-ed25519\nPublic-Lines: 1\n{}\nPrivate-Lines: 1\n",
                chance(64, WORD)
            ),
            "a private key (PuTTY)",
        ),
        (format!("AKIA{}7", chance(15, BASE32)), "an access key of AWS (AKIA…, ASIA…)"),
        (token("ghp_", 36), "a token of GitHub (gh?_…)"),
        (token("github_pat_", 82), "a token of GitHub (github_pat_…)"),
        (token("glpat-", 20), "a token of GitLab (glpat-…)"),
        (format!("xoxb-9182736450{}-{}", 1, chance(24, WORD)), "a token of Slack (xox?-…)"),
        (
            format!(
                "hooks.slack.com/services/T0{}/B0{}/{}",
                chance(8, BASE32),
                chance(8, BASE32),
                chance(24, WORD)
            ),
            "a web hook of Slack",
        ),
        (token("AIza", 35), "an API key of Google (AIza…)"),
        (token("sk_live_", 24), "a live key of Stripe (?k_live_…)"),
        (token("npm_", 36), "a token of npm (npm_…)"),
        (token("pypi-AgE", 80), "a token of PyPI (pypi-…)"),
        (jwt, "a signed web token (JWT, eyJ…)"),
    ]
}

fn scan(pieces: &[&[u8]]) -> Found {
    let mut scanner = Scanner::default();
    pieces.iter().for_each(|piece| scanner.update(piece));
    scanner.finish()
}

fn kinds(found: &Found) -> Vec<(&str, u64)> {
    found.secrets.iter().map(|finding| (finding.what.as_str(), finding.offset)).collect()
}

#[test]
fn each_kind_is_found_with_its_offset() {
    for (secret, kind) in samples() {
        let image = format!("{}\n{secret}\n{}", "x ".repeat(5_000), "y ".repeat(5_000));
        assert_eq!(kinds(&scan(&[image.as_bytes()])), [(kind, 10_001)], "{secret}");
    }
}

#[test]
fn a_secret_across_a_border_is_found_wherever_the_border_is() {
    for (secret, kind) in samples() {
        let text = format!("\n{secret}\n");
        for border in 0..text.len() {
            let (left, right) = text.as_bytes().split_at(border);
            assert_eq!(kinds(&scan(&[left, right])), [(kind, 1)], "{border}: {text}");
        }
        // And where what was looked at is let go.
        for before in (4 * AHEAD - 3 * secret.len()..4 * AHEAD + 2).step_by(7).chain([AHEAD, 5 * AHEAD]) {
            let filler = vec![b' '; before];
            let rest = vec![b' '; 6 * AHEAD];
            let found = scan(&[&filler, text.as_bytes(), &rest, &rest]);
            assert_eq!(kinds(&found), [(kind, before as u64 + 1)], "{before}: {kind}");
        }
    }
}

#[test]
fn the_first_lines_in_programs_and_documents_are_no_secrets() {
    for harmless in [
        "-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----\0",
        "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIDdTCCAl2gAwIBAgILBAAAAAABFUtaw5QwDQYJKoZIhvcNAQEFBQAwVzELMAkG\n-----END CERTIFICATE-----\n",
        "PuTTY-User-Key-File-2: ssh-rsa\0Private-Lines: %d\0",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "npm_config_registry npm_lifecycle_event_that_is_a_long_word_indeed",
        "sk_live_YOUR_KEY",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
        "crypt:$6$rounds=%d$",
    ] {
        assert_eq!(kinds(&scan(&[harmless.as_bytes()])), [], "{harmless}");
        assert!(scan(&[harmless.as_bytes()]).passwords.is_empty(), "{harmless}");
    }
    // Within a longer word it is chance.
    let inside = format!("Zm9v{}", samples()[7].0);
    assert_eq!(kinds(&scan(&[inside.as_bytes()])), []);
}

#[test]
fn what_is_told_never_holds_the_secret() {
    for (secret, _) in samples() {
        let image = format!("{secret} \0 some words before {secret}\n{secret}\n");
        let told: String =
            scan(&[image.as_bytes()]).secrets.iter().map(|finding| format!("{finding}\n")).collect();
        for part in secret.split(['\n', '-', '_', '.', '/', '\\', ' ']).filter(|part| part.len() >= 20) {
            assert!(!told.contains(&part[..12]), "{told}");
        }
    }
}

#[test]
fn pkcs8_bytes_are_found_and_the_templates_of_programs_are_not() {
    let pair = ring::signature::EcdsaKeyPair::generate_pkcs8(
        &ring::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        &ring::rand::SystemRandom::new(),
    );
    let key = pair.unwrap().as_ref().to_vec();
    let image = [b"data", key.as_slice(), b"data"].concat();
    assert_eq!(kinds(&scan(&[&image])), [("a private key (PKCS#8, P-256)", 7)]);
    // The same without the private half, as a program holds it to write such keys.
    let template = [&key[..36], &key[68..]].concat();
    assert_eq!(kinds(&scan(&[&template])), []);
    let rsa =
        b"\x30\x82\x04\xbe\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x04\x82\
                \x04\xa8\x30\x82\x04\xa4\x02\x01\x00\x02\x82\x01\x01\x00";
    assert_eq!(kinds(&scan(&[rsa])), [("a private key (PKCS#8, RSA)", 4)]);
}

const SHADOW: &str = "root:$6$Zy1qKd0a$wm0Zq3p9uJ0cTzqJc6m1n8Qe.wY7t0H8bX2fLk4R5s6D7g8H9j0K1l2M3n4O5p6Q7r8S9t0U1v2W3x4Y5z6A7.:19000:0:99999:7:::\n\
                      daemon:*:19000:0:99999:7:::\nada:$y$j9T$abcdefghijklmnopqrstuv$0123456789abcdefghijklmnopqrstuvwxyzABCDEFG:19000:::\n";

#[test]
fn password_hashes_are_known_by_their_users() {
    let found = scan(&[SHADOW.as_bytes()]);
    let users: Vec<&str> = found.passwords.iter().map(|hash| hash.user.as_str()).collect();
    assert_eq!(users, ["root", "ada"]);
    assert_eq!(found.count, 0, "a hash alone is no finding");
    let other = scan(&[SHADOW.replace("Zy1q", "Zy2q").as_bytes()]);
    assert_ne!(found.passwords[0].digest, other.passwords[0].digest);
    assert_eq!(found.passwords[1].digest, other.passwords[1].digest);
}

/// A ustar entry.
fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len().min(100)].copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend_from_slice(content);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

#[test]
fn in_a_tar_the_file_is_named() {
    let key = pem("EC PRIVATE KEY");
    let long = format!("etc/{}/device.pem", "deep/".repeat(30));
    let pax = |path: &str| {
        let length = path.len() + " path=\n".len();
        let length = length + (length + 3).to_string().len();
        entry("pax", b'x', format!("{length} path={path}\n").as_bytes())
    };
    let image = [
        entry("usr/bin/program", b'0', &vec![b'x'; 200_000]),
        entry("etc/device.pem", b'0', key.as_bytes()),
        entry("././@LongLink", b'L', format!("{long}\0").as_bytes()),
        entry(&long, b'0', key.as_bytes()),
        pax("etc/päx.pem"),
        entry("etc/short", b'0', key.as_bytes()),
        vec![0; 1024],
    ]
    .concat();
    for piece in [511, 512, 4097, 1 << 20] {
        let pieces: Vec<&[u8]> = image.chunks(piece).collect();
        let places: Vec<String> =
            scan(&pieces).secrets.into_iter().map(|finding| finding.place.unwrap()).collect();
        let file = |name: &str| format!("in the file {name:?}");
        assert_eq!(places, [file("etc/device.pem"), file(&long), file("etc/päx.pem")], "{piece}");
    }
    let bare = [b"\0\0config for the radio\n", key.as_bytes()].concat();
    assert_eq!(
        scan(&[&bare]).secrets[0].to_string(),
        "a private key (PEM, EC PRIVATE KEY) at byte 23, after the text \"config for the radio\""
    );
}

#[test]
fn memory_is_bounded_and_findings_are_counted() {
    let mut scanner = Scanner::default();
    let secret = format!("\n{}\n", samples()[8].0);
    for _ in 0..5_000 {
        scanner.update(secret.as_bytes());
        scanner.update(&[0; 1000]);
        assert!(scanner.held.capacity() < 1 << 18, "{}", scanner.held.capacity());
    }
    let found = scanner.finish();
    assert_eq!((found.count, found.secrets.len()), (5_000, TOLD));
}

/// Whatever the bytes, scanning them in pieces finds what scanning them whole finds, and ends.
#[test]
fn any_bytes_are_scanned_alike_in_any_pieces() {
    use proptest::prelude::*;
    let parts: Vec<String> = samples().into_iter().map(|(text, _)| text).chain([SHADOW.into()]).collect();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy =
        (proptest::collection::vec((0..parts.len(), 0..400_usize, 0..3000_usize), 1..40), 1..9000_usize);
    runner
        .run(&strategy, |(picks, piece)| {
            let mut image = Vec::new();
            for (part, cut, gap) in picks {
                let text = parts[part].as_bytes();
                image.extend_from_slice(&text[cut.min(text.len())..]);
                image.extend((0..gap).map(|i| (i * 7 % 251) as u8));
            }
            let whole = scan(&[&image]);
            let pieces: Vec<&[u8]> = image.chunks(piece).collect();
            let apart = scan(&pieces);
            prop_assert_eq!(whole.secrets, apart.secrets);
            prop_assert_eq!(whole.passwords, apart.passwords);
            Ok(())
        })
        .unwrap();
}
