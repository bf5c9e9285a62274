//! Rollouts before simulated fleets. The scenarios of `tests/scenarios/` take an optimised build: `tests/run scenarios`.

use perennial_tests::fleet::play;

#[test]
fn a_bad_build_is_halted_and_goes_on_only_where_its_signers_stand_by_it() {
    let script = "fleet 1500\nrelease 2.0.0 urgent\nbuild 2.0.0 fails 50%\nwait until 2.0.0 halted within 3d\n\
                  expect 2.0.0 on at most 5%\nhalt 2.0.0 again\n";
    let error = play(script).unwrap_err();
    assert_eq!((error.line, error.why.contains("the rollout is halted")), (6, true), "{error}");
    let told = play(script.rsplit_once("halt ").unwrap().0).unwrap();
    assert!(told.contains("2.0.0 halted, phase 1: it failed on "), "{told}");
}

#[test]
fn a_script_says_where_it_is_wrong() {
    for (script, line, why) in [
        ("wait 3d", 1, "the first command is `fleet`"),
        ("# a fleet\nfleet 10\nrelese 2.0.0", 3, "there is no command \"relese\""),
        ("fleet 10\nwait 3 days", 2, "\"3\" is no time such as 3d, 12h or 15m"),
        ("fleet 10\nexpect 2.0.0 halted", 2, "2.0.0 was not released"),
        ("fleet 10\nrelease 2.0.0 someday", 2, "invalid variant: someday"),
        ("fleet 10\nliars 101%", 2, "\"101%\" is no share such as 0.5%"),
    ] {
        let error = play(script).unwrap_err();
        assert_eq!((error.line, error.why.as_str()), (line, why), "{script}");
    }
}
