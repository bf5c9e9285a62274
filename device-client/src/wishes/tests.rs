use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::http::{HttpClient, HttpOptions};

/// 2026-11-01.
fn now() -> Timestamp {
    Timestamp::from_unix(1_793_491_200)
}

fn inbox() -> (tempfile::TempDir, Inbox) {
    let state = tempfile::tempdir().unwrap();
    let inbox = Inbox::open(state.path()).unwrap();
    (state, inbox)
}

fn said(text: &str) -> Answer {
    Answer::Said { status: 0, text: text.into(), json: Value::Null }
}

#[test]
fn wishes_are_taken_once_in_their_order_and_answered() {
    let (state, inbox) = inbox();
    let first = leave(state.path(), Asked::Postpone { until: now() }, now()).unwrap();
    let second = leave(state.path(), Asked::Update { now: true, retry_failed: false }, now()).unwrap();
    assert!(inbox.waits());
    let taken = inbox.take(now());
    let asked: Vec<Option<Asked>> = taken.iter().map(|taken| taken.asked.clone()).collect();
    assert_eq!(
        asked,
        [Some(Asked::Postpone { until: now() }), Some(Asked::Update { now: true, retry_failed: false })]
    );
    assert_eq!(inbox.take(now()), []);
    assert!(!second.take_back().unwrap(), "the agent has it");
    assert_eq!(first.answer().unwrap(), None);
    inbox.answer(&taken[0].id, &said("put off"));
    assert_eq!((first.answer().unwrap(), second.answer().unwrap()), (Some(said("put off")), None));
    assert_eq!(first.answer().unwrap(), None, "it is taken away");
}

#[test]
fn only_the_owner_of_the_state_may_wish_and_read_the_answer() {
    let (state, inbox) = inbox();
    let folder = state.path().join(FOLDER);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    leave(state.path(), Asked::Check, now()).unwrap();
    inbox.answer("0123456789abcdef", &said("x"));
    let files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!((mode(&folder), files.len()), (0o700, 2));
    assert!(files.iter().all(|path| mode(path) == 0o600));
    // One that others may write was somebody else's to make.
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    Inbox::open(state.path()).unwrap();
    assert_eq!(mode(&folder), 0o700);
}

#[test]
fn what_is_no_wish_or_none_any_more_is_not_obeyed() {
    let (state, inbox) = inbox();
    let folder = state.path().join(FOLDER);
    leave(state.path(), Asked::Check, now().plus_seconds(-86_401)).unwrap();
    leave(state.path(), Asked::Check, now().plus_seconds(86_401)).unwrap();
    std::fs::write(folder.join("00000003-0123456789abcdef.wish"), r#"{"format":"perennial.wish/1","#)
        .unwrap();
    std::fs::write(folder.join("00000004-0123456789abcdef.wish"), vec![b' '; 2000]).unwrap();
    std::fs::write(folder.join("4-short.wish"), "{}").unwrap();
    let taken = inbox.take(now());
    assert_eq!((taken.len(), taken.iter().filter(|taken| taken.asked.is_some()).count()), (4, 0));
    assert!(!inbox.waits());
}

#[test]
fn so_many_wishes_and_answers_are_kept() {
    let (state, inbox) = inbox();
    for _ in 0..WISHES {
        leave(state.path(), Asked::Check, now()).unwrap();
    }
    assert!(matches!(leave(state.path(), Asked::Check, now()), Err(AskError::TooMany)));
    inbox.take(now());
    for n in 0..3 * WISHES {
        inbox.answer(&format!("{n:016x}"), &said("x"));
    }
    let names = crate::files::list(&state.path().join(FOLDER)).unwrap();
    assert_eq!(names.len(), WISHES);
    drop(inbox);
    Inbox::open(state.path()).unwrap();
    assert_eq!(crate::files::list(&state.path().join(FOLDER)).unwrap().len(), 0);
}

#[test]
fn the_agent_wakes_for_a_wish_also_for_one_that_came_before_it_slept() {
    let (state, inbox) = inbox();
    let client = HttpClient::new(HttpOptions::default()).unwrap();
    let long = std::time::Duration::from_secs(3600);
    leave(state.path(), Asked::Check, now()).unwrap();
    inbox.sleep(&client, long);
    assert_eq!(inbox.take(now()).len(), 1);
    let path = state.path().to_owned();
    let owner = std::thread::spawn(move || leave(&path, Asked::Check, now()).unwrap());
    inbox.sleep(&client, long);
    owner.join().unwrap();
    assert_eq!(inbox.take(now()).len(), 1);
}
