//! Wrong usage in one line: clap's report, which has several, without its decoration.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::media::uri::{masked, masked_pair};

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
    let text = without_secrets(error);
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // The first paragraph is the fault; tips, usage and "for more information" follow.
    let words: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let fault = words.join(" ");
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

/// The whole report, with what it repeats of the command line as messages may repeat it.
fn without_secrets(error: &clap::Error) -> String {
    let given = error.context().flat_map(|(_, value)| match value {
        ContextValue::String(word) => std::slice::from_ref(word),
        ContextValue::Strings(words) => words,
        _ => &[],
    });
    let hidden = |word: &str| {
        if word.contains("://") { masked(word) } else { masked_pair(word) }
    };
    let secret = given.filter(|word| hidden(word) != **word);
    secret.fold(error.render().to_string(), |text, word| text.replace(word.as_str(), &hidden(word)))
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
        for (line, says) in [
            ("srt transmit a srt://h:1 srt://h:2?passphrase=0123456789", "'srt://h:2?passphrase=***'"),
            ("srt transmit a srt://h:1 srt://h:2?Passphrase=01'23456789", "'srt://h:2?Passphrase=***'"),
            ("srt bench passphrase=0123456789", "'passphrase=***'"),
            ("srt bench --option=x --optoin=passphrase=0123456789", "'--optoin'"),
            ("srt send a srt://h:1 --passphrase 0123456789", "did you mean '--passphrase-file'?"),
            ("srt send a srt://h:1 --passphrase=0123456789", "did you mean '--passphrase-file'?"),
            ("srt srt://h:2?passphrase=0123456789", "'srt://h:2?passphrase=***'"),
        ] {
            let said = said(line).unwrap();
            assert!(said.contains(says) && !said.contains("456789"), "{line}: {said}");
        }
    }

    #[test]
    fn help_and_version_are_no_faults() {
        for line in ["srt", "srt --help", "srt --version", "srt help send"] {
            assert_eq!(said(line), None, "{line}");
        }
    }
}
