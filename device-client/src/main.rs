//! The `perennial-device` command: gathers streams, the clock, the environment and signals, and calls the library.

#![expect(
    clippy::disallowed_methods,
    reason = "the one place that takes the real streams, the real environment and the real terminal"
)]

use std::io::IsTerminal;
use std::process::ExitCode;

use perennial_device::cli::Io;
use perennial_device::clock::SystemClock;
use perennial_device::core::port::Clock;
use perennial_device::http::Interrupt;

fn main() -> ExitCode {
    let (mut stdout, mut stderr) = (std::io::stdout(), std::io::stderr());
    let terminal = stderr.is_terminal();
    let interrupt = Interrupt::default();
    let variable = |name: &str| std::env::var(name).ok();
    let service = perennial_device::cli::is_service(std::env::args_os());
    perennial_device::log::start(terminal, service, variable("PERENNIAL_LOG").as_deref());
    perennial_device::signals::listen(interrupt.clone());
    let mut io = Io {
        stdout: &mut stdout,
        stderr: &mut stderr,
        now: Box::new(|| SystemClock.now()),
        terminal,
        variable: Box::new(variable),
        interrupt,
    };
    perennial_device::run(std::env::args_os(), &mut io)
}
