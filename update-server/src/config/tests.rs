use super::*;
use crate::store::Engine;

#[test]
fn the_reference_is_the_default_configuration_and_names_every_key() {
    let text = reference("/var/lib/perennial");
    let parsed = Config::parse("reference", &text).unwrap();
    assert_eq!(format!("{parsed:?}"), format!("{:?}", Config::with_defaults("/var/lib/perennial".into())));
    // With every comment mark in front of a default removed, the meaning is the same.
    let mut all = String::new();
    for line in text.lines() {
        let bare = line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
        if !bare.ends_with(" = \"\"") {
            all.push_str(bare);
            all.push('\n');
        }
    }
    let written = Config::parse("reference", &all).unwrap();
    let mut defaults = Config::with_defaults("/var/lib/perennial".into());
    defaults.store.engine = Some(Engine::Fjall);
    defaults.timestamp.renew_after = Some(Span::seconds(12 * 3600));
    assert_eq!(format!("{written:?}"), format!("{defaults:?}"));
}

#[test]
fn every_field_has_a_documented_key() {
    // serde lists the fields that it knows when it meets one that it doesn't.
    for table in
        ["", "serve", "tls", "admin", "timestamp", "keep", "store", "cache", "limits", "fleet", "log"]
    {
        let text = if table.is_empty() {
            "zzz = 1\nstate = \"s\"".to_owned()
        } else {
            format!("state = \"s\"\n[{table}]\nzzz = 1")
        };
        let message = toml::from_str::<Config>(&text).unwrap_err().message().to_owned();
        for field in message.split('`').skip(3).step_by(2) {
            let path = if table.is_empty() { field.to_owned() } else { format!("{table}.{field}") };
            let known = KEYS.iter().any(|key| key.path == path || key.path.starts_with(&format!("{path}.")));
            assert!(known, "{path} is not in the table of keys");
        }
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
    let error = Config::parse("s.toml", "state = \"x\"\n[limits]\nidel = \"1s\"\n").unwrap_err();
    assert_eq!(error.to_string(), "s.toml, line 3: unknown key `limits.idel`");
    assert!(error.hint().contains("`limits.idle`"), "{}", error.hint());
    let error = Config::parse("s.toml", "state = \"x\"\ncertificate = \"y\"\n").unwrap_err();
    assert!(error.hint().contains("`tls.certificate`"), "{}", error.hint());
    let error = Config::parse("s.toml", "state = \"x\"\n[limitz]\n").unwrap_err();
    assert_eq!(error.to_string(), "s.toml, line 2: unknown key `limitz`");
}

#[test]
fn what_cannot_stand_together_is_refused() {
    for (text, part) in [
        ("[serve]\nplain = []", "both empty"),
        ("[serve]\ntls = [\"127.0.0.1:1\"]", "tls.certificate"),
        ("[admin]\nlisten = \"0.0.0.0:1\"", "beyond loopback"),
        ("[admin]\nlisten = \"here\"", "isn't an address"),
        ("[timestamp]\nrenew_after = \"2d\"", "less than"),
        ("[keep]\ngenerations = 1", "at least 2"),
        ("[limits]\nhead_bytes = \"1KiB\"", "between 8KiB"),
        ("[store]\nengine = \"postgres\"", "store.url_file"),
        ("[store]\ncache = \"1KiB\"", "store.cache"),
        ("[store]\nengine = \"sqlite\"", "unknown variant"),
        ("[limits]\nidle = \"1ms\"", "limits.idle"),
        ("[serve]\nplain = [\"localhost:28481\"]", "`localhost:28481` isn't an address: write IP:port"),
        ("[serve]\nplain = \"127.0.0.1:1\"", "in brackets: [\"127.0.0.1:1\"]"),
        ("[serve]\ntls = 1", "in brackets"),
        ("[limits]\nidle = 3", "line 3"),
        ("[limits", "line 2"),
    ] {
        let error = Config::parse("s.toml", &format!("state = \"x\"\n{text}\n")).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
