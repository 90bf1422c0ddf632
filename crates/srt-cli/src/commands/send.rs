//! `srt send`: one input to one SRT connection, by one link or several.

use super::transfer::Transfer;
use crate::args::SendArgs;
use crate::error::Failure;
use crate::media::srt::Role;

/// # Errors
/// A wrong address, or what ended the transfer before its time.
pub(crate) fn run(args: SendArgs) -> Result<(), Failure> {
    let mode = args.group.map(Into::into);
    Transfer::bonded(Role::Target, args.outputs, args.input, mode, args.stream)?.run()
}
