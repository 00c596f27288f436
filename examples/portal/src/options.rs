//! What the command line says.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
portal: a web application for two tenants, each under a published security policy.

Usage: portal [OPTIONS]

  --listen ADDRESS    loopback address and port to serve plain HTTP on
                      [default: 127.0.0.1:8080]; port 0 takes a free one
  --data FOLDER       where everything is kept, made on the first start
                      [default: vouchsafe-portal in the user's data folder]
  --secret FILE       the secret that opens the keys, made on the first start, mode 0600;
                      keep it outside the data folder
                      [default: vouchsafe-portal/unlock-secret in the user's configuration folder]
  --policy-dir FOLDER TENANT.toml in it replaces the built-in policy of that tenant
  --help              this text

The first start prints the link that activates the first administrator. Every other link is a mail
in FOLDER/outbox.
";

/// How the portal is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it listens: a loopback address.
    pub listen: SocketAddr,
    /// Where everything is kept.
    pub data: PathBuf,
    /// The file with the secret that opens the keys.
    pub secret: PathBuf,
    /// Policies that replace the built-in ones.
    pub policy_dir: Option<PathBuf>,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To be told how.
    Help,
    /// To serve.
    Serve(Options),
}

/// What is wrong with the command line.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// It cannot be read.
    #[error("{0} (try --help)")]
    Arguments(#[from] lexopt::Error),
    /// Not an address.
    #[error("--listen {0}: expected an address and a port, such as 127.0.0.1:8080")]
    Address(String),
    /// Passwords would cross a network in the clear.
    #[error(
        "--listen {0}: plain HTTP is served on loopback addresses only; put a TLS proxy in front"
    )]
    NotLoopback(SocketAddr),
    /// Neither the option nor a home folder.
    #[error("there is no home folder: give {0}")]
    NoHome(&'static str),
}

impl Command {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// [`OptionsError`].
    pub fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, OptionsError> {
        use lexopt::prelude::*;
        let mut listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
        let (mut data, mut secret, mut policy_dir) = (None, None, None);
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("help") | Short('h') => return Ok(Self::Help),
                Long("listen") => {
                    let text = parser.value()?.to_string_lossy().into_owned();
                    listen = text.parse().map_err(|_| OptionsError::Address(text))?;
                }
                Long("data") => data = Some(PathBuf::from(parser.value()?)),
                Long("secret") => secret = Some(PathBuf::from(parser.value()?)),
                Long("policy-dir") => policy_dir = Some(PathBuf::from(parser.value()?)),
                other => return Err(other.unexpected().into()),
            }
        }
        if !listen.ip().is_loopback() {
            return Err(OptionsError::NotLoopback(listen));
        }
        let below = |xdg: &str, home: &str| {
            let set = |name: &str| variable(name).filter(|value| !value.is_empty());
            let base = set(xdg).map(PathBuf::from);
            let base = base.or_else(|| set("HOME").map(|folder| PathBuf::from(folder).join(home)));
            base.map(|base| base.join("vouchsafe-portal"))
        };
        Ok(Self::Serve(Options {
            listen,
            data: data
                .or_else(|| below("XDG_DATA_HOME", ".local/share"))
                .ok_or(OptionsError::NoHome("--data"))?,
            secret: secret
                .or_else(|| Some(below("XDG_CONFIG_HOME", ".config")?.join("unlock-secret")))
                .ok_or(OptionsError::NoHome("--secret"))?,
            policy_dir,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Command, OptionsError> {
        let home = |name: &str| (name == "HOME").then(|| "/home/ada".into());
        Command::parse(arguments.iter().map(OsString::from), home)
    }

    #[test]
    fn defaults_lie_in_the_users_folders() {
        let Ok(Command::Serve(options)) = parse(&[]) else { panic!("not served") };
        assert_eq!(options.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(options.data, PathBuf::from("/home/ada/.local/share/vouchsafe-portal"));
        let secret = PathBuf::from("/home/ada/.config/vouchsafe-portal/unlock-secret");
        assert_eq!(options.secret, secret);
        assert_eq!(options.policy_dir, None);
        let lost = Command::parse([], |_| None).unwrap_err();
        assert_eq!(lost.to_string(), "there is no home folder: give --data");
    }

    #[test]
    fn each_mistake_is_named() {
        for (arguments, message) in [
            (&["--listen", "nowhere"][..], "--listen nowhere: expected an address"),
            (&["--listen", "0.0.0.0:80"], "--listen 0.0.0.0:80: plain HTTP is served on loopback"),
            (&["--listen", "[::]:80"], "--listen [::]:80: plain HTTP"),
            (&["--listen"], "missing argument for option '--listen'"),
            (&["--verbose"], "invalid option '--verbose'"),
            (&["surplus"], "unexpected argument \"surplus\""),
        ] {
            let error = parse(arguments).unwrap_err().to_string();
            assert!(error.starts_with(message), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn everything_can_be_said() {
        let all = ["--listen", "[::1]:0", "--data=/d", "--secret", "/s", "--policy-dir", "/p"];
        let Ok(Command::Serve(options)) = parse(&all) else { panic!("not served") };
        assert_eq!(options.listen.to_string(), "[::1]:0");
        assert_eq!((options.data, options.secret), ("/d".into(), "/s".into()));
        assert_eq!(options.policy_dir, Some("/p".into()));
        assert!(matches!(parse(&["--data", "/d", "--help"]), Ok(Command::Help)));
    }
}
