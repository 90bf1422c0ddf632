//! `srt receive`: one SRT link to one output.

use super::transfer::Transfer;
use crate::args::ReceiveArgs;
use crate::error::{Failure, UriProblem};
use crate::media::{MediaUri, Scheme};

/// # Errors
/// A wrong address, or what ended the transfer before its time.
pub(crate) fn run(args: ReceiveArgs) -> Result<(), Failure> {
    let input = MediaUri::parse(&args.input)?;
    if input.scheme != Scheme::Srt {
        return Err(input.fault(UriProblem::NotSrt).into());
    }
    Transfer::new(args.input, args.output, args.stream).run()
}
