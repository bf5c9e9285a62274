//! The admin plane: who gets in, what is shown, pushes.

use super::kit::{Kit, Wire, ask_admin as ask, get};

fn kit_with_bundle() -> (Kit, std::path::PathBuf) {
    let mut kit = Kit::new();
    kit.target("cam/a", "a");
    let bundle = kit.publish("first.bundle");
    (kit, bundle)
}

#[test]
fn a_push_with_the_wrong_token_is_refused_and_with_the_right_one_is_served() {
    let (kit, bundle) = kit_with_bundle();
    let server = kit.serve("");
    let wrong = kit.path("wrong.token");
    std::fs::write(&wrong, "0".repeat(64)).unwrap();
    let (what, hint) = kit.push_with(&server, &bundle, &wrong).refused();
    assert_eq!(what, "no known token was given");
    assert!(hint.contains("admin.token"), "{hint}");
    assert_eq!(get(server.plain[0], "/metadata/timestamp.json").status, 404);

    let said = kit.push(&server, &bundle).ok();
    assert!(said.starts_with("Generation 1 is served"), "{said}");
    assert_eq!(get(server.plain[0], "/metadata/timestamp.json").status, 200);
    assert_eq!(get(server.plain[0], "/readyz").status, 200);
}

#[test]
fn a_refused_push_says_the_two_lines_of_the_command() {
    let (mut kit, first) = kit_with_bundle();
    let server = kit.serve("");
    kit.ingest(&first).ok();
    kit.target("cam/b", vec![7; 3_000_000]);
    kit.repository.publish();
    let mut files = kit.files();
    files.retain(|(path, _)| !path.ends_with("3.cam.json"));
    let bundle = kit.write("second.bundle", &files);
    let (what, _) = kit.push(&server, &bundle).refused();
    assert!(what.contains("the repository has no 3.cam.json"), "{what}");
    let by_command = kit.ingest(&bundle).refused().0;
    assert_eq!(what, by_command);
}

#[test]
fn while_the_server_runs_commands_go_through_its_socket() {
    let (kit, bundle) = kit_with_bundle();
    let server = kit.serve("");
    let socket = kit.state().join("admin.sock");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    kit.ingest(&bundle).ok();
    assert_eq!(get(server.plain[0], "/metadata/timestamp.json").status, 200);
    server.stop();
    assert!(!socket.exists());
    assert!(kit.ingest(&bundle).ok().contains("holds that already"));
}

#[test]
fn nothing_is_shown_without_a_token_but_probes_on_loopback() {
    let (kit, bundle) = kit_with_bundle();
    let server = kit.serve("");
    kit.ingest(&bundle).ok();
    for path in ["/api/v1/status", "/api/v1/generation", "/api/v1/audit"] {
        assert_eq!(ask(&server, "GET", path, None).status, 401, "{path}");
        // The static plane knows none of it.
        assert_eq!(get(server.plain[0], path).status, 404, "{path}");
    }
    assert_eq!(ask(&server, "POST", "/api/v1/bundles", None).status, 401);
    assert_eq!(get(server.plain[0], "/metrics").status, 404);
    let metrics = ask(&server, "GET", "/metrics", None);
    assert!(metrics.text().contains("perennial_generation 1\n"), "{}", metrics.text());
    assert!(metrics.text().contains("perennial_expiry_days{role=\"cam\"} 89\n"), "{}", metrics.text());
    assert!(metrics.text().contains("perennial_expiry_days{role=\"timestamp\"} 1\n"), "{}", metrics.text());
}

#[test]
fn status_and_audit_tell_what_happened() {
    let (kit, bundle) = kit_with_bundle();
    let server = kit.serve("");
    kit.ingest(&bundle).ok();
    let token = kit.token();
    let status = ask(&server, "GET", "/api/v1/status", Some(&token));
    let status: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
    assert_eq!((&status["generation"], &status["ready"]), (&1.into(), &true.into()));
    let audit = ask(&server, "GET", "/api/v1/audit", Some(&token));
    let audit: serde_json::Value = serde_json::from_slice(&audit.body).unwrap();
    let audit = &audit["entries"];
    assert_eq!(audit[0]["action"], "bundle.ingested");
    assert_eq!(audit[0]["actor"], "command");
    assert_eq!(audit[0]["previous"], "0".repeat(64));
    assert_eq!(status["audit"]["sequence"], 1);
}

#[test]
fn a_token_is_never_sent_over_plain_http_to_another_machine() {
    let (kit, bundle) = kit_with_bundle();
    let token = kit.state().join("admin.token");
    let arguments = ["--to", "http://updates.example.com", "--token-file", token.to_str().unwrap()];
    let (what, _) = kit.command(["push", bundle.to_str().unwrap()].iter().chain(&arguments)).refused();
    assert!(what.contains("plain HTTP to another machine"), "{what}");
}

#[test]
fn a_sender_that_is_too_slow_is_cut_off_and_holds_up_nobody() {
    let (kit, bundle) = kit_with_bundle();
    let server = kit.serve("[limits]\nupload = \"300ms\"\nupload_bytes = \"1KiB\"\n");
    let token = kit.token();
    let length = std::fs::metadata(&bundle).unwrap().len();
    let mut slow = Wire::to(server.admin.unwrap());
    slow.send(&format!(
        "POST /api/v1/bundles HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
    ));
    slow.send("perennial");
    let answer = slow.read(false);
    assert_eq!(answer.status, 422);
    assert!(
        answer.text().contains("sent fewer than 1024 bytes in 300ms (limits.upload)"),
        "{}",
        answer.text()
    );
    // One that stops halfway, and one that keeps its pace.
    let mut half = Wire::to(server.admin.unwrap());
    half.send(&format!(
        "POST /api/v1/bundles HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n"
    ));
    std::io::Write::write_all(&mut half.0, &std::fs::read(&bundle).unwrap()[..3000]).unwrap();
    let said = kit.push(&server, &bundle).ok();
    assert!(said.starts_with("Generation 1 is served"), "{said}");
    assert_eq!(half.read(false).status, 422);
}

#[test]
fn a_body_is_waited_for_only_after_the_token() {
    let kit = Kit::new();
    let server = kit.serve("");
    let address = server.admin.unwrap();
    let device = "ab".repeat(16);
    for path in ["/api/v1/tokens".to_owned(), format!("/api/v1/devices/{device}/revoke")] {
        // A thousand bytes are announced, and none is sent.
        let mut wire = super::kit::Wire::to(address);
        wire.send(&format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n"));
        assert_eq!(wire.read(false).status, 401, "{path}");
    }
}

#[test]
fn another_method_than_a_route_has_is_told_in_two_lines_as_everything_else() {
    let kit = Kit::new();
    let server = kit.serve("");
    let device = "ab".repeat(16);
    for (method, path, allow) in [
        ("GET", format!("/api/v1/devices/{device}/revoke"), "POST"),
        ("PUT", "/api/v1/status".into(), "GET,HEAD"),
    ] {
        let answer = super::kit::Wire::to(server.admin.unwrap()).ask(method, &path, &[]);
        assert_eq!((answer.status, answer.header("allow")), (405, allow), "{path}");
        let said: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!(said["error"], "that is asked for with another method");
        assert!(said["hint"].as_str().unwrap().contains("Allow"));
    }
}

#[test]
fn connections_without_a_token_that_never_read_keep_no_operator_out() {
    let kit = Kit::new();
    let server = kit.serve("");
    let (address, token) = (server.admin.unwrap(), kit.token());
    // Whoever isn't let in is let go.
    let mut refused = Wire::to(address);
    refused.send("GET /api/v1/status HTTP/1.1\r\nHost: t\r\n\r\n");
    let answer = refused.read(false);
    assert_eq!((answer.status, answer.header("connection")), (401, "close"));
    // More is asked than the sockets take answers to.
    let asked = "GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n".repeat(500);
    let deaf: Vec<std::net::TcpStream> = (0..64)
        .map(|_| {
            let mut deaf = std::net::TcpStream::connect(address).unwrap();
            deaf.set_nonblocking(true).unwrap();
            (0..200).for_each(|_| drop(std::io::Write::write(&mut deaf, asked.as_bytes())));
            deaf
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(ask(&server, "GET", "/api/v1/status", Some(&token)).status, 200);
        assert_eq!(ask(&server, "GET", "/healthz", None).status, 200);
    }
    drop(deaf);
}

#[test]
fn what_is_asked_and_not_known_is_refused_in_words() {
    let kit = Kit::new();
    let server = kit.serve("");
    let token = kit.token();
    for path in [
        "/api/v1/devices?standng=revoked",
        "/api/v1/devices/d-1?report=1",
        "/api/v1/audit?befor=7",
        "/api/v1/audit/verify?head=1:00",
        "/api/v1/devices/%ff",
        "/api/v1/rollouts/%ff/1.0.0",
    ] {
        let answer = ask(&server, "GET", path, Some(&token));
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(answer.status == 400 && problem["hint"].is_string(), "{path}: {}", answer.text());
    }
}
