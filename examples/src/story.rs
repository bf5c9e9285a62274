//! The story, from two people's keys to a device that goes back by itself and refuses a forgery.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::certificate;
use crate::images::{BROKEN, HEALTH, Images};
use crate::server::{Ports, Server, configuration};
use crate::stage::{Result, Stage, size};

/// What the device runs to see whether a release works: the health script that the release itself brings along.
const HEALTH_HOOK: &str = r#"#!/bin/sh
# The device's health check. The running image may bring a health script of its own; a mark at the image's end is the
# quickstart's way to break an image that is no tar.
if tar --occurrence=1 -tf "$PERENNIAL_SLOT_PATH" @HEALTH@ >/dev/null 2>&1; then
  tar --occurrence=1 -xOf "$PERENNIAL_SLOT_PATH" @HEALTH@ | sh
else
  ! grep -aq '@BROKEN@' "$PERENNIAL_SLOT_PATH"
fi
"#;

const CONTACT: &str = "contacts = [\"mailto:security@example.com\"]\n\
                       acknowledgement_days = 5\n\
                       status_update_days = 14\n";

/// Exit statuses of `perennial-device` that the story waits for.
const DONE: i32 = 0;
const HELD: i32 = 11;
const REFUSED: i32 = 20;
const FELL_BACK: i32 = 30;

/// Plays the story; with `exit` it ends by itself, otherwise the server goes on until Ctrl-C.
///
/// # Errors
/// [`crate::stage::StoryError`] at the first step that does not end as it should.
pub fn play(mut stage: Stage, images: &Images, exit: bool) -> Result {
    println!("Perennial quickstart: everything happens in {}", stage.folder().display());
    keys(&mut stage)?;
    repository(&mut stage)?;
    product(&mut stage)?;
    let ports = Ports::free()?;
    let server = serve(&mut stage, ports)?;
    release(&mut stage, ports, "1.0.0", &images.files[0], "")?;
    device(&mut stage, ports)?;
    release(&mut stage, ports, "2.0.0", &images.files[1], "")?;
    stage.step(
        "The device takes 2.0.0 by a delta from what it runs",
        "It says how much it downloads, and how much it would without the delta. The old image is read through its signed \
         index, and the new one is checked chunk by chunk, as ever.",
    );
    update(&mut stage)?;
    plan(&mut stage)?;
    release(&mut stage, ports, "3.0.0", &images.files[2], " --rollout plan.toml")?;
    turn(&mut stage)?;
    fall_back(&mut stage)?;
    forgery(&mut stage, &images.files[1])?;
    epilogue(&mut stage, (!exit).then_some(ports))?;
    if exit {
        return Ok(());
    }
    stage.say("The server goes on. Press Ctrl-C to stop it.");
    server.wait()
}

fn keys(stage: &mut Stage) -> Result {
    stage.step(
        "Ada and Bob make their keys, the server makes its own",
        "A private key stays with its holder, under a passphrase (here in a file; without --passphrase-file it is \
         asked for). The server's key may say what is latest, and nothing else.",
    );
    fs::create_dir(stage.path("keys"))?;
    let mut passphrase = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(stage.path("keys/passphrase"))?;
    std::io::Write::write_all(&mut passphrase, b"quickstart, and nothing else\n")?;
    for name in ["Ada", "Bob"] {
        let file = name.to_lowercase();
        stage.run(
            &format!(
                "perennial-signer key new keys/{file}.key --label {name} --passphrase-file keys/passphrase"
            ),
            0,
        )?;
    }
    stage.run("perennial-server init --state server", 0)?;
    Ok(())
}

/// Both people review and sign what is proposed, and it is published.
fn sign_and_publish(stage: &Stage) -> Result {
    for name in ["ada", "bob"] {
        let command = format!(
            "perennial-signer --repo maker sign --key keys/{name}.key --passphrase-file keys/passphrase"
        );
        stage.run_last(&command, 0)?;
    }
    stage.run_last("perennial-signer --repo maker publish", 0)?;
    Ok(())
}

fn repository(stage: &mut Stage) -> Result {
    stage.step(
        "They make a repository in which both must sign",
        "The first root says whose keys count. It is a proposal: a folder that could travel by mail or USB stick from \
         one to the other.",
    );
    stage.run(
        "perennial-signer --repo maker repository init --root-key keys/ada.pub.json --root-key keys/bob.pub.json \
         --root-threshold 2 --timestamp-key server/keys/timestamp.pub.json --timestamp-key keys/ada.pub.json",
        0,
    )?;
    sign_and_publish(stage)
}

fn product(stage: &mut Stage) -> Result {
    stage.step(
        "They add a product, and promise until when it gets security updates",
        "This date can get later, never earlier: the signer, the server and every device refuse it.",
    );
    fs::write(stage.path("contact.toml"), CONTACT)?;
    stage.run(
        "perennial-signer --repo maker product add thermostat --support-until 2031-06-30 \
         --reason 'Five years from the last sale that we plan.' --contact contact.toml",
        0,
    )?;
    sign_and_publish(stage)
}

fn serve(stage: &mut Stage, ports: Ports) -> Result<Server> {
    stage.step(
        "The server starts, with TLS",
        "It trusts the first root, as a device does. It holds no key that could sign a release.",
    );
    fs::create_dir(stage.path("tls"))?;
    let certificates = certificate::make(&stage.path("tls"))?;
    fs::write(stage.path("server.toml"), configuration(ports, &certificates))?;
    stage.run_last("perennial-server init --state server --root maker/metadata/1.root.json", 0)?;
    Server::start(stage, "perennial-server serve --config server.toml")
}

/// `more` goes on with the proposal's command.
fn release(stage: &mut Stage, ports: Ports, version: &str, image: &Path, more: &str) -> Result {
    let length = size(fs::metadata(image)?.len());
    stage.step(
        &format!("Release {version} is proposed, signed by both, and pushed to the server"),
        &format!(
            "The image has {length}. Before anything is published, the device's own code and tough verify it. With \
             --delta-last 1 a device that runs the release before this one downloads what has changed, and no more."
        ),
    );
    let image = image.strip_prefix(stage.folder()).unwrap_or(image);
    stage.run(
        &format!(
            "perennial-signer --repo maker release propose thermostat {version} --image revC={} --class functionality \
             --notes 'What is new in {version}.' --delta-last 1{more}",
            image.display()
        ),
        0,
    )?;
    sign_and_publish(stage)?;
    stage.run(&format!("perennial-signer --repo maker bundle {version}.bundle"), 0)?;
    let admin = ports.admin;
    stage.run(
        &format!("perennial-server push {version}.bundle --to http://127.0.0.1:{admin} --token-file server/admin.token"),
        0,
    )?;
    fs::remove_file(stage.path(&format!("{version}.bundle")))?;
    Ok(())
}

fn device(stage: &mut Stage, ports: Ports) -> Result {
    stage.step(
        "A device is set up and takes release 1.0.0",
        "It is born with the first root, and listens on no port. Its two slots are files here, and the agent plays the \
         boot loader; on a product they are partitions.",
    );
    fs::create_dir(stage.path("device"))?;
    let broken = String::from_utf8_lossy(BROKEN);
    let hook = HEALTH_HOOK.replace("@HEALTH@", HEALTH).replace("@BROKEN@", broken.trim());
    let path = stage.path("device/health.sh");
    fs::write(&path, hook)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    stage.run(
        &format!(
            "perennial-device --config device/device.toml --state device/state init --root maker/metadata/1.root.json \
             --server https://localhost:{} --ca tls/authority.pem --product thermostat --hardware revC --id hall \
             --health device/health.sh --simulate-boot",
            ports.tls
        ),
        DONE,
    )?;
    update(stage)
}

fn update(stage: &mut Stage) -> Result {
    stage.run("perennial-device --config device/device.toml update", DONE)?;
    Ok(())
}

fn plan(stage: &mut Stage) -> Result {
    stage.step(
        "The next release shall reach a fleet in stages",
        "The plan is signed with the release. The server can slow it down or stop it on the way, and never hurry it.",
    );
    stage.run(
        "perennial-signer rollout new plan.toml --preset canary-week --key server/keys/rollout.pub.json",
        DONE,
    )?;
    Ok(())
}

fn turn(stage: &mut Stage) -> Result {
    stage.step(
        "It isn't this device's turn yet, and it says so",
        "Its place is drawn anew for each release. Exit status 11 says that an update has to wait.",
    );
    stage.run("perennial-device --config device/device.toml update", HELD)?;
    stage.run("perennial-device --config device/device.toml why", DONE)?;
    Ok(())
}

fn fall_back(stage: &mut Stage) -> Result {
    stage.step(
        "Its owner takes 3.0.0 now; the health script fails, and the device goes back by itself",
        "A release counts only after a healthy trial boot. Exit status 30 says that the device fell back.",
    );
    stage.run("perennial-device --config device/device.toml update --now", FELL_BACK)?;
    stage.run("perennial-device --config device/device.toml status", DONE)?;
    Ok(())
}

fn forgery(stage: &mut Stage, image: &Path) -> Result {
    stage.step(
        "Mallory forges release 9.9.9 and catches the device's traffic",
        "She has all of our tools, a key of her own, and the server's place in the network. Exit status 20 says that the \
         device refused.",
    );
    fs::create_dir(stage.path("mallory"))?;
    let image = image.strip_prefix(stage.folder()).unwrap_or(image).display().to_string();
    let repo = "perennial-signer --repo mallory/repository";
    let key = "--key mallory/mallory.key --passphrase-file keys/passphrase";
    let contact = "--contact contact.toml";
    for command in [
        "perennial-signer key new mallory/mallory.key --passphrase-file keys/passphrase".to_owned(),
        format!("{repo} repository init {key}"),
        format!("{repo} product add thermostat --support-until 2040-01-01 --reason Lies. {contact}"),
        format!("{repo} sign {key}"),
        format!("{repo} publish"),
        format!(
            "{repo} release propose thermostat 9.9.9 --image revC={image} --class security --notes Lies."
        ),
        format!("{repo} sign {key}"),
        format!("{repo} publish"),
    ] {
        stage.run_last(&command, DONE)?;
    }
    let config = fs::read_to_string(stage.path("device/device.toml"))?;
    let server = config.lines().find(|line| line.starts_with("server = ")).unwrap_or_default();
    let hers = format!("server = \"{}\"", stage.path("mallory/repository").display());
    fs::write(stage.path("device/hijacked.toml"), config.replace(server, &hers))?;
    stage.run("perennial-device --config device/hijacked.toml update", REFUSED)?;
    stage.run("perennial-device --config device/device.toml history", DONE)?;
    Ok(())
}

/// What a reader may do now; `ports` are those of a server that goes on.
fn epilogue(stage: &mut Stage, ports: Option<Ports>) -> Result {
    stage.step("What to look at next", "Everything is in the folder; bin/ holds the three tools.");
    let mut ideas =
        vec![("go on from here", format!("cd {} && export PATH=$PWD/bin:$PATH", stage.folder().display()))];
    if let Some(Ports { tls, admin }) = ports {
        let page = format!("https://localhost:{tls}/support/thermostat");
        ideas.extend([
            ("the public page", page.clone()),
            (
                "",
                "a browser warns: the certificate is the quickstart's own, signed by tls/authority.pem"
                    .into(),
            ),
            ("", format!("curl --cacert tls/authority.pem {page}")),
            ("the server's metrics", format!("curl http://127.0.0.1:{admin}/metrics")),
        ]);
    }
    ideas.extend([
        ("who signed what", "perennial-signer --repo maker status".into()),
        ("the device", "perennial-device --config device/device.toml status".into()),
        (
            "take 3.0.0 back",
            "perennial-signer --repo maker withdraw thermostat 3.0.0 --reason 'It fails.'".into(),
        ),
        ("the book", "docs/README.md".into()),
    ]);
    for (what, how) in ideas {
        stage.say(&format!("{what:<22}{how}"));
    }
    Ok(())
}
