//! What the commands print, and how they fail: two lines, each with its exit status.

use perennial_device::Io;
use perennial_tests::maker::{Maker, image};
use perennial_tests::simulator::day;

use super::kit::{Device, run};

const LENGTH: usize = 700_000;

fn bare(args: &[&str]) -> super::kit::Ran {
    run(std::iter::once("perennial-device").chain(args.iter().copied()).map(Into::into), day(1))
}

#[test]
fn usage_errors_have_two_lines() {
    for (args, what) in [
        (&[][..], "no command was given"),
        (&["upgrade"], "unrecognized subcommand 'upgrade'"),
        (&["postpone", "-1"], "invalid value '-1' for '<DAYS>': -1 is not in 0..=30"),
        (&["check", "--jason"], "unexpected argument '--jason' found"),
        (
            &["init", "--root", "x"],
            "the following required arguments were not provided: --server <URL> --product <NAME> --hardware <NAME>",
        ),
    ] {
        assert_eq!(bare(args).refused(2).0, what);
    }
    assert!(bare(&["--help"]).ok().contains("Exit status: 0 current or done"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(bare(&["completions", shell]).ok().contains("history"));
    }
}

#[test]
fn a_device_that_is_not_set_up_says_how() {
    let (what, hint) = bare(&["--config", "/nowhere/device.toml", "status"]).refused(1);
    assert!(what.starts_with("/nowhere/device.toml: No such file"), "{what}");
    assert_eq!(hint, "perennial-device init writes one; --config names another place");
}

#[test]
fn a_misspelt_key_is_named_with_its_line() {
    let device = Device::new(&Maker::new(), "/");
    device.configure(|text| text.replace("staging = true", "stageing = true"));
    let (what, hint) = device.run(&["check"]).refused(1);
    assert!(what.contains("device.toml: line ") && what.contains("unknown field `stageing`"), "{what}");
    assert!(hint.starts_with("mend that line"), "{hint}");
}

#[test]
fn init_never_overwrites_and_refuses_what_is_no_root() {
    let device = Device::new(&Maker::new(), "/");
    let root = device.path("factory-root.json");
    let before = std::fs::read(device.config()).unwrap();
    #[rustfmt::skip]
    let init = |root: &str| device.run(&[
        "init", "--root", root, "--server", "/", "--product", "thermostat", "--hardware", "revC",
    ]);
    let (what, _) = init(root.to_str().unwrap()).refused(1);
    assert!(what.ends_with("device.toml is there already"), "{what}");
    assert_eq!(std::fs::read(device.config()).unwrap(), before);
    std::fs::remove_file(device.config()).unwrap();
    let (what, hint) = init(device.path("health").to_str().unwrap()).refused(1);
    assert!(what.contains("health is no root"), "{what}");
    assert!(hint.contains("N.root.json"), "{hint}");
    let said = init(root.to_str().unwrap()).ok();
    assert!(said.starts_with("This device is dev-"), "{said}");
}

#[test]
fn init_says_what_is_missing_or_was_meant() {
    let device = Device::new(&Maker::new(), "/");
    let root = device.path("factory-root.json");
    std::fs::remove_file(device.config()).unwrap();
    #[rustfmt::skip]
    let init = |server: &str| device.run(&[
        "init", "--root", root.to_str().unwrap(), "--server", server, "--product", "thermostat", "--hardware", "revC",
    ]);
    for server in ["127.0.0.1:28481", "localhost:28481", "updates.example/v1"] {
        let (what, hint) = init(server).refused(1);
        assert!(what.contains("has no scheme"), "{what}");
        assert_eq!(hint, format!("did you mean http://{server}?"));
    }
    let (what, _) = init("/nowhere/at/all").refused(1);
    assert_eq!(what, "/nowhere/at/all is not there");
    let said = init("/").ok();
    assert!(
        said.contains("Missing:       --slot-a and --slot-b")
            && said.contains("\nNext:          let the boot"),
        "{said}"
    );
    std::fs::remove_file(device.config()).unwrap();
    #[rustfmt::skip]
    let said = device.run(&[
        "init", "--root", root.to_str().unwrap(), "--server", "/", "--product", "thermostat", "--hardware", "revC",
        "--simulate-boot",
    ]).ok();
    let next = format!("\nNext:          perennial-device --config {} update\n", device.config().display());
    assert!(said.ends_with(&next), "{said}");
}

#[test]
fn a_check_that_finds_nothing_says_whose_turn_it_is() {
    let maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let (device, folder) = Device::with_folder(&maker);
    device.configure(|text| text.replace("channel = \"stable\"", "channel = \"beta\""));
    let (what, hint) = device.run(&["check"]).refused(20);
    assert_eq!(what, "the maker has published no release of thermostat on beta yet");
    assert!(hint.contains("`channel` in device.toml"), "{hint}");
    device.configure(|text| text.replace("product = \"thermostat\"", "product = \"thermostatt\""));
    let (what, hint) = device.run(&["check"]).refused(20);
    assert_eq!(what, "this repository has no product thermostatt; it has: thermostat");
    assert!(hint.contains("`product` and `server` in device.toml"), "{hint}");
    let (what, again) = device.run(&["update"]).refused(20);
    assert!(what.ends_with("it has: thermostat") && again == hint, "{what}, {again}");
    std::fs::remove_file(folder.join("metadata/timestamp.json")).unwrap();
    let (what, hint) = device.run(&["check"]).refused(20);
    assert!(what.ends_with("the repository has no timestamp.json"), "{what}");
    assert!(hint.starts_with("check `server`"), "{hint}");
}

#[test]
fn https_where_no_tls_is_spoken_is_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let device = Device::new(&Maker::new(), &format!("https://{address}"));
    let plain = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
        let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let (what, _) = device.run(&["check"]).refused(1);
    plain.join().unwrap();
    assert!(what.contains(&format!("no TLS is spoken at {address}: is that the right port?")), "{what}");
}

#[test]
fn status_before_and_after() {
    let maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let (device, folder) = Device::with_folder(&maker);
    let folder = folder.display();
    let before = format!(
        "Device:    d1, a thermostat revC, channel stable\n\
         Running:   an image from the factory, in slot A\n\
         Fallback:  none yet\n\
         Support:   nothing is known yet; perennial-device check asks\n\
         Update:    not looked for yet\n\
         Server:    {folder}\n"
    );
    assert_eq!(device.run(&["status"]).ok(), before);
    device.run(&["update"]).ok();
    let after = format!(
        "Device:    d1, a thermostat revC, channel stable\n\
         Running:   1.0.0 in slot B, security version 1\n\
         Fallback:  an image from the factory, in slot A\n\
         Support:   thermostat gets security updates until at least 31 December 2036: 10 years and 1 month left.\n\
         Record:    number 1 of 2026-11-01, last seen signed on 2026-11-02\n\
         Security:  report problems to mailto:security@thermostat.example\n\
         Update:    up to date (said first at 2026-11-02T00:00:00Z)\n\
         Server:    {folder}\n"
    );
    assert_eq!(device.run(&["status"]).ok(), after);
}

#[test]
fn every_report_is_json_when_asked() {
    let maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let (device, _) = Device::with_folder(&maker);
    let json = |args: &[&str], status| -> serde_json::Value {
        serde_json::from_str(&device.run(args).ends(status)).unwrap()
    };
    let check = json(&["check", "--json"], 10);
    assert_eq!((&check["decision"], &check["version"]), (&"update".into(), &"1.0.0".into()));
    assert_eq!(check["offer"]["image_bytes"], LENGTH);
    let update = json(&["update", "--json"], 0);
    assert_eq!((&update["result"], &update["running"]), (&"confirmed".into(), &"1.0.0".into()));
    assert_eq!(update["events"].as_array().unwrap().len(), 3);
    assert_eq!(json(&["history", "--json"], 0).as_array().unwrap().len(), 3);
    assert_eq!(json(&["status", "--json"], 0)["booted"], "b");
    assert_eq!(json(&["simulate-boot", "--json"], 0)["booted"], "b");
}

#[test]
fn an_owner_goes_back_only_where_nothing_is_undone() {
    let mut maker = Maker::new();
    maker.release("1.0.0", 1, &image("GOOD 1", LENGTH));
    let (device, folder) = Device::with_folder(&maker);
    let (what, _) = device.run(&["revert"]).refused(20);
    assert!(what.contains("holds no release that was installed and confirmed"), "{what}");
    device.run(&["update"]).ok();
    maker.release("1.1.0", 1, &image("GOOD 1.1", LENGTH));
    maker.write(&folder);
    device.run(&["update"]).ok();

    let said = device.run(&["revert"]).ok();
    assert!(said.contains("1.0.0 works: confirmed."), "{said}");
    assert_eq!(device.running(), "1.0.0");
    // What the owner went back from comes again when the owner says so.
    let said = device.run(&["check"]).ends(11);
    assert!(said.contains("1.1.0 waits for the owner: the owner went back from it"), "{said}");
    device.run(&["update", "--retry-failed"]).ok();
    assert_eq!(device.running(), "1.1.0");

    maker.release("2.0.0", 2, &image("GOOD 2", LENGTH));
    maker.write(&folder);
    device.run(&["update"]).ok();
    let (what, _) = device.run(&["revert"]).refused(20);
    assert!(what.starts_with("1.1.0 has security version 1, and this device has confirmed 2"), "{what}");
    assert_eq!(device.running(), "2.0.0");
}

#[test]
fn a_release_that_waits_for_a_word_is_confirmed_by_its_owner() {
    let maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let (device, _) = Device::with_folder(&maker);
    let (what, _) = device.run(&["confirm"]).refused(1);
    assert_eq!(what, "no release is on trial here");

    let asked = device.path("asked");
    std::fs::write(device.path("health"), format!("#!/bin/sh\ntouch {}; exit 75\n", asked.display()))
        .unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let interrupt = perennial_device::http::Interrupt::default();
    let mut io = Io::new(&mut out, &mut err, || {
        if asked.exists() {
            interrupt.turn_on();
        }
        day(1)
    });
    io.interrupt = interrupt.clone();
    let args = std::iter::once("perennial-device".into()).chain(device.arguments(&["update"]));
    let code = format!("{:?}", perennial_device::run(args, &mut io));
    drop(io);
    assert!(
        String::from_utf8(out).unwrap().ends_with("Interrupted: it goes on where it was, next time.\n"),
        "{code}"
    );
    assert_eq!(device.status()["state"], "trying");

    let said = device.run(&["confirm"]).ok();
    assert!(said.contains("1.0.0 works: confirmed."), "{said}");
    assert_eq!(device.status()["anti_rollback_counter"], 1);
}

#[test]
fn a_device_updates_from_one_file() {
    let maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    let device = Device::new(&maker, "/");
    let bundle = device.path("site.bundle");
    device.serve_from(bundle.to_str().unwrap());
    let (what, _) = device.run(&["check"]).refused(1);
    assert!(what.contains("there is no folder with metadata in it"), "{what}");
    let bytes = maker.bundle();
    std::fs::write(&bundle, &bytes[..bytes.len() - 1]).unwrap();
    let (what, _) = device.run(&["check"]).refused(1);
    assert!(what.contains("its header says"), "{what}");
    std::fs::write(&bundle, bytes).unwrap();
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "1.0.0");
}

#[test]
fn a_hook_that_says_no_keeps_a_release_out() {
    let maker = Maker::of(&[image("GOOD 1", LENGTH)]);
    for hook in ["pre_install", "post_install"] {
        let (device, _) = Device::with_folder(&maker);
        let script = r#"["/bin/sh", "-c", "echo the battery is low; exit 3"]"#;
        device.configure(|text| text.replace(&format!("{hook} = []"), &format!("{hook} = {script}")));
        let (what, hint) = device.run(&["update"]).refused(1);
        assert!(
            what.contains("1.0.0 was not installed (code 406)") && what.ends_with("the battery is low"),
            "{what}"
        );
        assert!(hint.starts_with("look at what the hook said"), "{hint}");
        assert_eq!(device.running(), "");
    }
}
