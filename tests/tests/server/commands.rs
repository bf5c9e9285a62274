//! The server's commands: what they print, and how they fail.

use super::kit::{Folder, Kit, get};
use perennial_device_core::crypto::Ring;
use perennial_schemas::crypto::Digest;
use perennial_server::audit;
use perennial_server::server::start;
use perennial_server::state::State;
use perennial_tests::simulator::{Device, day};

fn published() -> Kit {
    let mut kit = Kit::new();
    kit.target("cam/a", "a");
    kit.target("cam/b", vec![1; 100_000]);
    let bundle = kit.publish("first.bundle");
    kit.ingest(&bundle).ok();
    kit
}

#[test]
fn init_keeps_what_is_there() {
    let kit = Kit::new();
    let state = kit.state();
    let files = ["keys/timestamp.key", "keys/rollout.key", "admin.token", "tokens.json", "root.json"];
    let read = || files.map(|file| std::fs::read(state.join(file)).unwrap());
    let before = read();
    kit.command(["init", "--state", state.to_str().unwrap()]).ok();
    assert!(before == read());
    for file in &files[..4] {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(state.join(file)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    // Tokens are kept hashed.
    let token = std::fs::read_to_string(state.join("admin.token")).unwrap();
    assert!(!std::fs::read_to_string(state.join("tokens.json")).unwrap().contains(token.trim()));
}

#[test]
fn another_root_is_refused() {
    let kit = Kit::new();
    let other = kit.path("other.json");
    std::fs::write(&other, perennial_tests::simulator::Repository::of_somebody_else().first_root()).unwrap();
    let (what, hint) = kit
        .command(["init", "--state", kit.state().to_str().unwrap(), "--root", other.to_str().unwrap()])
        .refused();
    assert_eq!(what, "this server trusts another root already");
    assert!(hint.contains("signed rotation"), "{hint}");
}

#[test]
fn init_writes_a_configuration_that_check_config_takes() {
    let kit = Kit::new();
    let (state, config) = (kit.state(), kit.path("server.toml"));
    let (state, config) = (state.to_str().unwrap(), config.to_str().unwrap());
    kit.command(["init", "--state", state, "--config", config]).ok();
    assert!(kit.command(["check-config", "--config", config]).ok().ends_with("server.toml is in order.\n"));
    let reference = kit.command(["check-config", "--reference"]).ok();
    assert!(reference.contains("# Time that a connection may rest between requests.\n#idle = \"75s\""));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_right_name() {
    let kit = Kit::new();
    let config = kit.path("server.toml");
    std::fs::write(&config, "state = \"x\"\n\n[limits]\nconections = 4\n").unwrap();
    let (what, hint) = kit.command(["check-config", "--config", config.to_str().unwrap()]).refused();
    assert!(what.ends_with("server.toml, line 4: unknown key `limits.conections`"), "{what}");
    assert!(hint.starts_with("did you mean `limits.connections`?"), "{hint}");
}

#[test]
fn a_taken_port_is_two_lines() {
    let kit = published();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = kit.path("server.toml");
    let text = format!(
        "state = {:?}\n[serve]\nplain = [\"{}\"]\n[admin]\nlisten = \"\"\n[log]\nlevel = \"off\"\n",
        kit.state().to_str().unwrap(),
        taken.local_addr().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let (what, hint) = kit.command(["serve", "--config", config.to_str().unwrap()]).refused();
    assert!(
        what.starts_with(&format!("can't listen on {}: Address already in use", taken.local_addr().unwrap())),
        "{what}"
    );
    assert_eq!(hint, "another program listens there: stop it, or configure another port");
}

#[test]
fn a_second_server_on_the_same_port_or_state_is_refused() {
    let kit = published();
    let first = kit.serve("");
    let refused = start(&kit.config(""), kit.clock.now()).unwrap_err();
    assert!(refused.to_string().contains("is in use by another process"), "{refused}");
    let other = published();
    let mut config = other.config("");
    config.serve.plain = first.plain.clone();
    let refused = start(&config, other.clock.now()).unwrap_err();
    assert!(refused.to_string().contains("can't listen on"), "{refused}");
}

/// Under another key each device would have a second vote.
#[test]
fn a_server_whose_votes_are_under_another_key_does_not_start_until_somebody_says_so() {
    let kit = published();
    kit.serve("").stop();
    let state = kit.state();
    let list = ["rollout", "list", "--state", state.to_str().unwrap()];
    kit.command(list).ok();
    std::fs::write(state.join("keys/marks.key"), [7; 32]).unwrap();
    let refused = start(&kit.config(""), kit.clock.now()).unwrap_err();
    let (what, hint) = (refused.to_string(), refused.hint());
    assert!(
        what.ends_with("keys/marks.key isn't the key that the votes in this store are kept under"),
        "{what}"
    );
    assert!(
        hint.starts_with("copy keys/marks.key from a front end of this store, or from a backup"),
        "{hint}"
    );
    // Who steers is refused, who looks is told.
    let halt = ["rollout", "halt", "cam", "1.0.0", "--reason", "x", "--state", state.to_str().unwrap()];
    assert_eq!(kit.command(halt).refused(), (what, hint));
    let looked = kit.command(list);
    assert!(
        looked.err.contains("isn't the key that the votes in this store are kept under"),
        "{}",
        looked.err
    );
    looked.ok();
    let replace = ["rollout", "replace-marks-key", "--state", state.to_str().unwrap()];
    let (unsaid, _) = kit.command(replace).refused();
    assert!(unsaid.contains("--devices-may-vote-twice"), "{unsaid}");
    kit.command(replace.into_iter().chain(["--devices-may-vote-twice"])).ok();
    kit.serve("").stop();
    let held = State::at(&state).hold().unwrap();
    let said = audit::entries(held.store.as_ref(), 0, 100).unwrap();
    assert!(said.iter().any(|entry| entry.action == "rollout.marks-key-replaced"), "{said:?}");
}

#[test]
fn commands_without_a_state_folder_say_how_to_make_one() {
    let kit = published();
    for command in ["ingest", "export-site"] {
        let (what, hint) = kit.command([command, "x", "--state", "/nonexistent"]).refused();
        assert_eq!(what, "/nonexistent is not a state folder of perennial-server");
        assert_eq!(hint, "make it first: perennial-server init --state /nonexistent");
    }
    let (what, hint) = kit.command(["ingest"]).refused();
    assert!(what.contains("required arguments were not provided"), "{what}");
    assert!(hint.contains("--help"), "{hint}");
    let (what, hint) = kit.command(["support"]).refused();
    assert_eq!(what, "no command was given");
    assert!(hint.contains("`perennial-server support --help`"), "{hint}");
    let (what, hint) = kit.command(["inges"]).refused();
    assert!(what.contains("unrecognized subcommand 'inges'"), "{what}");
    assert!(hint.contains("ingest"), "{hint}");
}

#[test]
fn an_exported_folder_holds_what_is_served_and_a_device_takes_it() {
    let kit = published();
    let to = kit.path("site");
    let export =
        || kit.command(["export-site", to.to_str().unwrap(), "--state", kit.state().to_str().unwrap()]);
    let said = export().ok();
    assert!(said.starts_with("Generation 1 is in "), "{said}");
    let mut device = Device::born_with(kit.repository.first_root());
    let found = device.find(&mut Folder(to.clone()), "cam/b").unwrap().unwrap();
    let hash = found.hashes["sha256"].clone();
    let server = kit.serve("");
    for name in
        [format!("targets/cam/{hash}.b"), "metadata/timestamp.json".into(), "metadata/2.root.json".into()]
    {
        let served = get(server.plain[0], &format!("/{name}"));
        assert!(served.status == 200 && std::fs::read(to.join(&name)).unwrap() == served.body, "{name}");
    }
    // Never over something that is there.
    let (what, _) = export().refused();
    assert!(what.ends_with("exists and isn't an empty folder"), "{what}");
}

#[test]
fn a_site_file_holds_the_same_and_is_written_while_the_server_runs() {
    let kit = published();
    let server = kit.serve("");
    let to = kit.path("cam.site");
    let state = kit.state();
    kit.command(["export-site", to.to_str().unwrap(), "--state", state.to_str().unwrap()]).ok();
    let bytes = std::fs::read(&to).unwrap();
    let timestamp = get(server.plain[0], "/metadata/timestamp.json").body;
    assert!(bytes.windows(timestamp.len()).any(|window| window == timestamp));
    server.stop();
    // Another server takes it as a bundle: it has the same form.
    let said = kit.command(["ingest", to.to_str().unwrap(), "--state", state.to_str().unwrap()]).ok();
    assert!(said.contains("holds that already"), "{said}");
}

#[test]
fn an_export_removes_nothing_that_it_did_not_make() {
    let kit = published();
    let (to, file) = (kit.path("site"), kit.path("cam.site"));
    let mine = [kit.path("site.part"), kit.path("cam.site.part")];
    for path in &mine {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("mine"), "mine").unwrap();
    }
    for to in [&to, &file] {
        kit.command(["export-site", to.to_str().unwrap(), "--state", kit.state().to_str().unwrap()]).ok();
    }
    assert!(mine.iter().all(|path| path.join("mine").exists()));
    // A failed one leaves nothing of its own behind.
    std::fs::remove_file(kit.state().join("blobs").join(Ring.sha256(b"a").to_string())).unwrap();
    let entries = || std::fs::read_dir(kit.folder.path()).unwrap().count();
    let before = entries();
    for name in ["other", "other.site"] {
        let to = kit.path(name);
        kit.command(["export-site", to.to_str().unwrap(), "--state", kit.state().to_str().unwrap()])
            .refused();
    }
    assert_eq!(entries(), before);
}

#[test]
fn a_state_folder_whose_socket_has_no_room_is_refused_before_it_is_made() {
    let kit = Kit::new();
    let long = kit.path(&"x".repeat(100));
    let (what, hint) = kit.command(["init", "--state", long.to_str().unwrap()]).refused();
    assert!(what.contains("a socket's may have 107: choose a shorter state folder"), "{what}");
    assert_eq!(hint, "name a shorter path with --state");
    assert!(!long.exists());
    std::fs::rename(kit.state(), &long).unwrap();
    let config = kit.path("server.toml");
    std::fs::write(&config, format!("state = {:?}\n", long.to_str().unwrap())).unwrap();
    let (what, _) = kit.command(["check-config", "--config", config.to_str().unwrap()]).refused();
    assert!(what.contains("choose a shorter state folder"), "{what}");
}

#[test]
fn json_is_printed_where_it_is_asked_for() {
    let kit = published();
    let state = kit.state();
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&kit.command(args.iter().copied()).ok()).unwrap()
    };
    let state = state.to_str().unwrap();
    assert_eq!(json(&["init", "--state", state, "--json"])["token_file"], serde_json::Value::Null);
    let bundle = kit.path("first.bundle");
    assert_eq!(
        json(&["ingest", bundle.to_str().unwrap(), "--state", state, "--json"])["outcome"],
        "unchanged"
    );
    let to = kit.path("site");
    let exported = json(&["export-site", to.to_str().unwrap(), "--state", state, "--json"]);
    assert_eq!(exported["generation"], 1);
    assert_eq!(exported["timestamp_expires"], day(2).to_string());
    assert_eq!(json(&["check-config", "--reference", "--json"])[0]["key"], "state");
}

#[test]
fn an_enrolment_request_is_written_again_and_its_key_kept() {
    let kit = Kit::new();
    let state = kit.state();
    let keys = state.join("keys");
    let request = keys.join("enrolment.csr.pem");
    let ask = || -> serde_json::Value {
        let args = ["enrolment", "request", "--state", state.to_str().unwrap(), "--json"];
        serde_json::from_str(&kit.command(args).ok()).unwrap()
    };
    let key = std::fs::read(keys.join("enrolment.key")).unwrap();
    std::fs::remove_file(&request).unwrap();
    assert_eq!(ask()["key_made"], false);
    assert!(std::fs::read_to_string(&request).unwrap().starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    assert_eq!(std::fs::read(keys.join("enrolment.key")).unwrap(), key);
    // While the server runs, too; and where there never was a key.
    let server = kit.serve("");
    assert_eq!(ask()["request"], request.to_str().unwrap());
    server.stop();
    std::fs::remove_file(keys.join("enrolment.key")).unwrap();
    assert_eq!(ask()["key_made"], true);
    assert_ne!(std::fs::read(keys.join("enrolment.key")).unwrap(), key);
    let elsewhere = kit.path("elsewhere");
    let (what, hint) =
        kit.command(["enrolment", "request", "--state", elsewhere.to_str().unwrap()]).refused();
    assert!(what.contains("is no state folder") && hint.contains("init"), "{what} {hint}");
}
