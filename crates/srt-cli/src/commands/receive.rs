//! `srt receive`: one SRT connection, by one link or several, to one output.

use super::transfer::Transfer;
use crate::args::ReceiveArgs;
use crate::error::Failure;
use crate::media::srt::Role;

/// # Errors
/// A wrong address, or what ended the transfer before its time.
pub(crate) fn run(args: ReceiveArgs) -> Result<(), Failure> {
    let mode = args.group.map(Into::into);
    Transfer::bonded(Role::Source, args.inputs, args.output, mode, args.stream)?.run()
}
