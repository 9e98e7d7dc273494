//! What a host says about itself instead of running.

use std::fmt::Write as _;

use crate::config::{HOW_TO_SET, KEYS};

/// The answer to `--help` or `--version`, when one of them is among the arguments.
pub(crate) fn answer(service: &str, program: &str, arguments: &[String]) -> Option<String> {
    arguments.iter().find_map(|argument| match argument.as_str() {
        "-h" | "--help" => Some(help(service, program)),
        "-V" | "--version" => Some(format!("{program} {}", env!("CARGO_PKG_VERSION"))),
        _ => None,
    })
}

/// Laid out as that of `tbx`.
fn help(service: &str, program: &str) -> String {
    let mut rows =
        vec![("config <FILE>".to_owned(), "Read settings from FILE instead of tbx.toml".to_owned())];
    rows.extend(KEYS.iter().map(|key| (format!("{} <VALUE>", key.name.replace('_', "-")), key.help())));
    let width = rows.iter().map(|(flag, _)| flag.len()).max().unwrap_or_default();
    let mut text = format!(
        "The {service} of TBX as a process of its own\n\nUsage: {program} [OPTIONS]\n\nOptions:\n  \
         -h, --help     Print help\n  -V, --version  Print version\n\nSettings:\n"
    );
    for (flag, about) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "      --{flag:<width$}  {about}");
    }
    text + "\n" + HOW_TO_SET
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_setting_and_is_given_only_when_it_is_asked_for() {
        let ask = |argument: &str| answer("api", "tbx-api", &["--log=debug".to_owned(), argument.to_owned()]);
        let help = ask("--help").unwrap();
        for key in KEYS {
            let flag = format!("--{} <VALUE>", key.name.replace('_', "-"));
            assert!(help.contains(&flag) && help.contains(key.about.trim()), "{flag}:\n{help}");
        }
        assert!(
            help.contains("Usage: tbx-api [OPTIONS]") && help.contains("[default: 127.0.0.1:5000]"),
            "{help}"
        );
        assert_eq!(ask("-h"), Some(help));
        for version in ["--version", "-V"] {
            assert_eq!(ask(version).unwrap(), format!("tbx-api {}", env!("CARGO_PKG_VERSION")));
        }
        assert_eq!(ask("--auth=off"), None);
    }
}
