//! `srt send`: one input to one SRT link.

use super::transfer::Transfer;
use crate::args::SendArgs;
use crate::error::{Failure, UriProblem};
use crate::media::{MediaUri, Scheme};

/// # Errors
/// A wrong address, or what ended the transfer before its time.
pub(crate) fn run(args: SendArgs) -> Result<(), Failure> {
    let output = MediaUri::parse(&args.output)?;
    if output.scheme != Scheme::Srt {
        return Err(output.fault(UriProblem::NotSrt).into());
    }
    Transfer::new(args.input, args.output, args.stream).run()
}
