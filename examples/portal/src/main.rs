//! The portal's program: reads the command line, starts, and shuts down cleanly.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use portal::setup::Setup;
use portal::{Command, Options, Portal};
use vouchsafe::os::SystemClock;

fn main() -> ExitCode {
    let options = match Command::parse(std::env::args_os().skip(1), |name| std::env::var_os(name)) {
        Ok(Command::Help) => {
            print!("{}", portal::options::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve(options)) => options,
        Err(error) => {
            eprintln!("portal: {error}");
            return ExitCode::from(2);
        }
    };
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(run(options)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portal: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let listener = portal::web::listen(options.listen)
        .await
        .map_err(|error| format!("--listen {}: {error}", options.listen))?;
    let listen = listener.local_addr()?;
    let Options { data, secret, policy_dir, .. } = options;
    let setup = Setup { data, secret, policy_dir, listen };
    let portal = Portal::open(setup, Arc::new(SystemClock)).await?;
    eprintln!(
        "portal: PLAIN HTTP, for this machine only: whoever can read its traffic can read passwords"
    );
    eprintln!("portal: everything is kept in {}", portal.folders().data.display());
    eprintln!(
        "portal: mails, with their links, are written to {}",
        portal.folders().outbox.display()
    );
    if let Some(why) = portal.exposure() {
        eprintln!("portal: what is stored does not count as encrypted at rest: {why}");
    }
    // Before anybody is told that it is up: whoever ends it then has it shut down cleanly.
    let stopped = stopped()?;
    let mut out = std::io::stdout();
    writeln!(out, "The portal is at http://{listen}/")?;
    portal.print_first_link(|link| {
        println!("Activate the first administrator, once: {link}");
    })?;
    out.flush()?;
    portal::serve(portal, listener, async {
        stopped.await;
        eprintln!("portal: shutting down");
    })
    .await?;
    Ok(())
}

/// Ctrl-C, or a supervisor's SIGTERM, from this call on.
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(std::future::poll_fn(move |context| {
        if interrupt.poll_recv(context).is_ready() || terminate.poll_recv(context).is_ready() {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    }))
}
