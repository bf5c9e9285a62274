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
    assert!(chance(200_000)["told_95"].as_u64().unwrap() <= 45);
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
