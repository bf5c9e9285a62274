//! Where the story plays: a folder, and a narrator who shows each command as a person would type it.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// The folder, and how far the story is.
#[derive(Debug)]
pub struct Stage {
    folder: PathBuf,
    began: Instant,
    step: u32,
    program: PathBuf,
}

/// Why the story stopped.
#[derive(Debug)]
pub struct StoryError {
    what: String,
    hint: String,
}

impl StoryError {
    /// What happened, and what to do.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

impl fmt::Display for StoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\nhint: {}", self.what, self.hint)
    }
}

impl From<io::Error> for StoryError {
    fn from(error: io::Error) -> Self {
        Self::new(
            error.to_string(),
            "check the room and the rights in the quickstart's folder, then run it again",
        )
    }
}

/// The result of a step.
pub type Result<T = ()> = std::result::Result<T, StoryError>;

impl Stage {
    /// A stage in `folder`, which must be empty or absent.
    ///
    /// # Errors
    /// [`StoryError`] where the folder holds something or can't be made.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        if fs::read_dir(folder)?.next().is_some() {
            let what = format!("{} holds something already", folder.display());
            return Err(StoryError::new(what, "give another folder with --dir, or remove this one"));
        }
        let stage = Self {
            folder: fs::canonicalize(folder)?,
            began: Instant::now(),
            step: 0,
            program: std::env::current_exe()?,
        };
        stage.install_tools()?;
        Ok(stage)
    }

    /// The story's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path in the story's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Announces a step.
    pub fn step(&mut self, title: &str, why: &str) {
        self.step += 1;
        let seconds = self.began.elapsed().as_secs_f32();
        println!("\n{}. {title}  [{seconds:.1} s]", self.step);
        for line in wrap(why, 96) {
            println!("   {line}");
        }
    }

    /// Says something within a step.
    pub fn say(&self, text: &str) {
        println!("   {text}");
    }

    /// Runs a tool in the story's folder, shows the command and what it prints, and expects this exit status.
    ///
    /// # Errors
    /// [`StoryError`] for another exit status.
    pub fn run(&self, command: &str, expected: i32) -> Result<String> {
        self.show(command, expected, |text| text)
    }

    /// The same, and shows only the last paragraph of what it prints.
    ///
    /// # Errors
    /// [`StoryError`] for another exit status.
    pub fn run_last(&self, command: &str, expected: i32) -> Result<String> {
        self.show(command, expected, |text| text.trim_end().rsplit("\n\n").next().unwrap_or_default())
    }

    fn show(&self, command: &str, expected: i32, part: impl Fn(&str) -> &str) -> Result<String> {
        println!("   $ {command}");
        io::stdout().flush()?;
        let output = self.tool(command)?.stdin(Stdio::null()).output()?;
        let text = text(&output);
        let right = output.status.code() == Some(expected);
        for line in (if right { part(&text) } else { &text }).lines() {
            println!("     {line}");
        }
        match output.status.code() {
            Some(code) if code == expected => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            other => Err(StoryError::new(
                format!("`{command}` ended with {other:?}, expected {expected}"),
                "the output above says why; please report it if it is not your machine's fault",
            )),
        }
    }

    /// The process of a tool, not started yet.
    ///
    /// # Errors
    /// [`StoryError`] for an empty command.
    pub fn tool(&self, command: &str) -> Result<Command> {
        let mut words = split(command).into_iter();
        let name = words.next().ok_or_else(|| StoryError::new("an empty command", "report this defect"))?;
        let mut process = Command::new(self.path("bin").join(name));
        process.args(words).current_dir(&self.folder).env("PERENNIAL_LOG", "warn");
        Ok(process)
    }

    /// Puts the three tools into `bin/`, so that a person can go on from here: they are this program under other names.
    fn install_tools(&self) -> Result {
        let bin = self.path("bin");
        fs::create_dir(&bin)?;
        for tool in crate::tools::NAMES {
            std::os::unix::fs::symlink(&self.program, bin.join(tool))?;
        }
        Ok(())
    }
}

fn text(output: &Output) -> String {
    [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat()
}

/// Splits at blanks, outside of single quotes: what the story types needs no more of a shell.
pub(crate) fn split(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().unwrap_or(&mut String::new()).push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line + word.chars().count() + 1 > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// A number of bytes as people read it.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_as_a_shell_would() {
        assert_eq!(split("a  --b 'c d' e"), ["a", "--b", "c d", "e"]);
    }

    #[test]
    fn lines_are_wrapped_at_words() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
    }

    #[test]
    fn a_folder_in_use_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "x").unwrap();
        let error = Stage::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("holds something already"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(999), size(20_500), size(50_000_000)], ["999 bytes", "20 kB", "50.0 MB"]);
    }
}
