//! Rollout plans: written from a preset, looked over, tried on a simulated fleet.

use super::desk::Desk;

const START: &str = "2027-03-01T06:00:00Z";

fn desk() -> Desk {
    Desk::with_keys(&["rollout"])
}

/// Writes a plan from a preset.
fn new(desk: &Desk, name: &str, preset: &str, more: &str) -> String {
    let path = desk.path(name);
    desk.ok(&format!("rollout new {} --preset {preset} --key rollout.pub.json {more}", path.display()))
}

#[test]
fn every_preset_is_a_plan_and_only_the_hasty_ones_are_remarked() {
    let desk = desk();
    for (preset, remarked) in
        [("canary-week", ""), ("linear-30d", ""), ("urgent", "silence"), ("all-at-once", "first-phase")]
    {
        let haste = if preset == "all-at-once" { "--everybody-at-once" } else { "" };
        new(&desk, &format!("{preset}.toml"), preset, &format!("--start 2090-01-01T00:00:00Z {haste}"));
        let said = desk.ok(&format!("rollout lint {preset}.toml --devices 1000000"));
        match remarked {
            "" => assert_eq!(said, "Nothing to remark.\n", "{preset}"),
            rule => assert!(said.starts_with(&format!("{rule}: ")), "{preset}: {said}"),
        }
    }
}

#[test]
fn all_at_once_takes_an_ugly_word_and_no_plan_is_written_over() {
    let desk = desk();
    let refused = desk.refused("rollout new plan.toml --preset all-at-once --key rollout.pub.json");
    assert!(refused.contains("hint: take canary-week or urgent, or say --everybody-at-once"), "{refused}");
    new(&desk, "plan.toml", "urgent", "");
    let refused = desk.refused("rollout new plan.toml --preset urgent --key rollout.pub.json");
    assert!(refused.contains("a plan is never replaced"), "{refused}");
}

#[test]
fn a_simulation_says_who_comes_when_and_stops_what_is_bad() {
    let desk = desk();
    new(&desk, "plan.toml", "canary-week", &format!("--start {START}"));
    let ask = "rollout simulate plan.toml --hardware revC=120000 --hardware revD=3000 --runs 100 --json";
    let said: serde_json::Value = serde_json::from_str(&desk.ok(ask)).unwrap();
    assert_eq!(said["steps"][0]["hardware"]["revD"], 30);
    assert_eq!(said["steps"][4]["devices"], 123_000);
    let chance =
        |ppm: u64| said["odds"].as_array().unwrap().iter().find(|odds| odds["failing_ppm"] == ppm).unwrap();
    assert!(chance(5_000)["halted"].as_f64().unwrap() <= 0.05);
    assert_eq!(chance(200_000)["halted"], 1.0);
    // So many of 1,230 devices begin within an hour that some tell after the halt only.
    assert!(chance(200_000)["told_95"].as_u64().unwrap() <= 80);
    // Where it waits, if it does: one at half the ceiling, for the proof that 1 % of the devices can't give.
    let waits = &chance(10_000)["waits"];
    let phases: Vec<&serde_json::Value> =
        waits.as_array().unwrap().iter().map(|wait| &wait["what"]).collect();
    assert_eq!(phases, ["evenly to 5 %", "evenly to 25 %", "evenly to 100 %"]);
    assert_eq!((&waits[0]["phase"], &waits[0]["days_median"]), (&2.into(), &serde_json::Value::Null));
    let [waited, finished] =
        [&waits[0]["share"], &chance(10_000)["finished"]].map(|share| share.as_f64().unwrap());
    assert!((0.2..0.8).contains(&waited) && waited + finished >= 0.95, "{waited} {finished}");
    assert_eq!(chance(200_000)["waits"][0]["share"], 0.0);
    assert_eq!((&said["max_hold_seconds"], &said["on_deadline"]), (&1_209_600.into(), &"consent".into()));
    assert_eq!(desk.ok(ask), desk.ok(ask), "the same question has the same answer");
    let picture = desk.path("plan.svg");
    desk.ok(&format!("rollout simulate plan.toml --devices 5000 --runs 10 --svg {}", picture.display()));
    roxmltree::Document::parse(&std::fs::read_to_string(picture).unwrap()).unwrap();
}

#[test]
fn revisions_that_a_plan_leaves_out_are_no_part_of_its_fleet() {
    let desk = desk();
    new(&desk, "plan.toml", "canary-week", &format!("--start {START}"));
    let plan = std::fs::read_to_string(desk.path("plan.toml")).unwrap();
    desk.write("some.toml", &plan.replacen("\n[[phase]]", "hardware = [\"revC\"]\n\n[[phase]]", 1));
    let ask = "rollout simulate some.toml --runs 10 --json --hardware revD=3000";
    let said: serde_json::Value =
        serde_json::from_str(&desk.ok(&format!("{ask} --hardware revC=120000"))).unwrap();
    assert_eq!((&said["devices"], &said["steps"][4]["devices"]), (&120_000.into(), &120_000.into()));
    assert!(desk.refused(ask).contains("leaves all of these hardware revisions out"));
}

#[test]
fn a_mistake_in_a_plan_is_told_with_its_place() {
    let desk = desk();
    new(&desk, "good.toml", "canary-week", &format!("--start {START}"));
    let good = std::fs::read_to_string(desk.path("good.toml")).unwrap();
    for (from, to, told) in [
        ("share = \"5 %\"", "share = \"5\"", "line 12: \"5\" is no share: write percent"),
        ("begins = \"1d\"", "begins = \"tomorrow\"", "\"tomorrow\" is no span of time"),
        ("begins = \"2d\"", "begins = \"1d\"", "a phase begins no later than the one before"),
        ("spread = \"linear\"", "spred = \"linear\"", "did you mean spread?"),
        ("longest = \"14d\"", "longest = \"2000d\"", "max_hold_seconds is 172800000, and lies between"),
        ("rollout.pub.json", "none.pub.json", "none.pub.json"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        desk.write("bad.toml", &bad);
        let refused = desk.refused("rollout lint bad.toml");
        assert!(refused.contains(told), "{to}: {refused}");
    }
}

/// The rows of the book's table: key, limits, default.
fn book() -> Vec<[String; 3]> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rollouts.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, table) = text.split_once("### Every key of a plan").unwrap();
    let rows =
        table.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{row}");
        [cells[0].trim_matches('`').into(), cells[2].into(), cells[3].into()]
    })
    .collect()
}

/// A plan with every key, one a line; `change` gives another line, or none, for a key.
fn with(change: impl Fn(&str) -> Option<String>) -> String {
    let all = [
        (
            "",
            &[
                ("start", "\"2027-06-07T06:00:00Z\""),
                ("key", "\"rollout.pub.json\""),
                ("hardware", "[\"revC\"]"),
            ][..],
        ),
        (
            "[[phase]]",
            &[("phase.share", "\"100 %\""), ("phase.begins", "\"0d\""), ("phase.spread", "\"at-once\"")],
        ),
        ("[[early]]", &[("early.labels", "[\"staff\"]"), ("early.begins", "\"0d\"")]),
        (
            "[gate]",
            &[
                ("gate.ceiling", "\"2 %\""),
                ("gate.alpha", "\"5 %\""),
                ("gate.beta", "\"5 %\""),
                ("gate.least_sample", "10"),
                ("gate.least_soak", "\"1h\""),
            ],
        ),
        (
            "[hold]",
            &[
                ("hold.longest", "\"14d\""),
                ("hold.on_deadline", "\"consent\""),
                ("hold.catch_up", "\"1d\""),
                ("hold.status_max_age", "\"1d\""),
            ],
        ),
    ];
    let mut text = String::new();
    for (table, keys) in all {
        text += &format!("{table}\n");
        for (key, value) in keys {
            let name = key.rsplit('.').next().unwrap();
            text += &change(key).unwrap_or_else(|| format!("{name} = {value}\n"));
        }
    }
    text
}

/// The table in the book is what a plan file knows: every key and no other, which are needed, and each limit to the last unit.
#[test]
fn the_book_has_every_key_of_a_plan_with_its_limits_and_its_default() {
    let desk = desk();
    let lint = |text: String| {
        desk.write("book.toml", &text);
        desk.run("rollout lint book.toml --json")
    };
    let is_read = |text: String| {
        let ran = lint(text);
        ran.ok || ran.stdout.contains("\"remarks\"")
    };
    assert!(is_read(with(|_| None)), "{:?}", lint(with(|_| None)));
    let rows = book();
    // What a plan file would take in the place of a key that it doesn't know.
    let mut known = std::collections::BTreeSet::new();
    for (place, table) in [
        ("start", ""),
        ("phase.share", "phase."),
        ("early.labels", "early."),
        ("gate.ceiling", "gate."),
        ("hold.longest", "hold."),
    ] {
        let refused = lint(with(|key| (key == place).then(|| "zebra = 1\n".into()))).stderr;
        let (_, names) = refused.split_once("expected ").unwrap_or_else(|| panic!("{refused}"));
        let names = names.lines().next().unwrap().split('`').skip(1).step_by(2);
        known.extend(names.map(|name| format!("{table}{name}")));
    }
    ["phase", "early", "gate", "hold"].into_iter().for_each(|table| assert!(known.remove(table), "{table}"));
    let told: std::collections::BTreeSet<String> = rows.iter().map(|[key, ..]| key.clone()).collect();
    assert_eq!(told, known);
    for [key, limits, default] in &rows {
        let without = is_read(with(|it| (it == key).then(String::new)));
        assert_eq!(without, default != "needed", "{key} may be left out");
        let name = key.rsplit('.').next().unwrap();
        let ends: Vec<&str> = limits.split('`').skip(1).step_by(2).collect();
        if ends.len() != 2 || !limits.starts_with('`') || key == "phase.share" {
            continue;
        }
        let takes = |value: &str| {
            let value = if key == "gate.least_sample" { value.to_owned() } else { format!("{value:?}") };
            is_read(with(|it| (it == key).then(|| format!("{name} = {value}\n"))))
        };
        ends.iter().for_each(|end| assert!(takes(end), "{key} takes {end}"));
        for past in past(ends[0], ends[1]) {
            assert!(!takes(&past), "{key} doesn't take {past}");
        }
    }
    let limited = rows.iter().filter(|[_, limits, _]| limits.starts_with('`'));
    assert!(limited.count() >= 9);
}

/// The values one unit outside.
fn past(least: &str, most: &str) -> Vec<String> {
    let seconds = |span: &str| {
        let (number, unit) = span.split_at(span.len() - 1);
        number.parse::<u64>().unwrap()
            * match unit {
                "s" => 1,
                "h" => 3600,
                "d" => 86_400,
                _ => panic!("{span}"),
            }
    };
    if least.ends_with('%') {
        return vec!["0 %".into(), most.replace(" %", ".0001 %")];
    }
    if least.bytes().all(|byte| byte.is_ascii_digit()) {
        return vec!["-1".into(), (most.parse::<u64>().unwrap() + 1).to_string()];
    }
    let below = seconds(least).checked_sub(1).map(|below| format!("{below}s"));
    below.into_iter().chain([format!("{}s", seconds(most) + 1)]).collect()
}
