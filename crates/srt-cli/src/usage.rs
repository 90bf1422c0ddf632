//! Wrong usage in one line: clap's report, which has several, without its decoration.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::media::uri::masked;

/// The fault in one line, with the mend; `None` for what is no fault: help and version.
pub(crate) fn one_line(error: &clap::Error) -> Option<String> {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        return None;
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // The first paragraph is the fault; tips, usage and "for more information" follow.
    let words: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let fault = without_secrets(&words.join(" "));
    let hint = suggestion(error).map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
    Some(format!("{fault}{hint}; see 'srt --help'"))
}

/// What was probably meant.
fn suggestion(error: &clap::Error) -> Option<String> {
    let kinds = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(near) => Some(near.clone()),
        ContextValue::Strings(near) => near.first().cloned(),
        _ => None,
    })
}

/// Addresses stand in quotes there.
fn without_secrets(fault: &str) -> String {
    fault.split('\'').map(masked).collect::<Vec<_>>().join("'")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    fn said(line: &str) -> Option<String> {
        one_line(&Cli::try_parse_from(line.split_whitespace()).unwrap_err())
    }

    #[test]
    fn a_fault_is_one_line_with_the_mend() {
        for (line, says) in [
            ("srt send - srt://h:1 --chunk 0", "invalid value '0' for '--chunk <BYTES>': a message has 1 to"),
            ("srt send - srt://h:1 --foo", "unexpected argument '--foo' found"),
            ("srt send - srt://h:1 --reconect", "'--reconect' found; did you mean '--reconnect'?"),
            ("srt demo --loss 200%", "\"200%\" is no share; write 5% or 0.05, from 0 to 100%"),
            ("srt demo --latency -3", "invalid value '-3' for '--latency <TIME>': \"-3\" is no duration"),
            ("srt demo -t 0", "for '--duration <TIME>': a stream needs some time"),
            ("srt send -", "required arguments were not provided: <SRT_URI>"),
            ("srt send - srt://h:1 --stats s --stats-format xml", "[possible values: json, csv]"),
            ("srt fly", "unrecognized subcommand 'fly'"),
        ] {
            let said = said(line).unwrap();
            assert!(said.contains(says) && said.ends_with("; see 'srt --help'"), "{line}: {said}");
            assert!(!said.contains('\n') && !said.starts_with("error"), "{line}: {said}");
        }
    }

    #[test]
    fn an_address_out_of_place_does_not_give_its_passphrase_away() {
        let said = said("srt send a srt://h:1 srt://h:2?passphrase=0123456789").unwrap();
        assert!(said.contains("'srt://h:2?passphrase=***'") && !said.contains("0123456789"), "{said}");
    }

    #[test]
    fn help_and_version_are_no_faults() {
        for line in ["srt", "srt --help", "srt --version", "srt help send"] {
            assert_eq!(said(line), None, "{line}");
        }
    }
}
