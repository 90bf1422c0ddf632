//! `srt transmit`: any medium to any medium.

use super::transfer::Transfer;
use crate::args::TransmitArgs;
use crate::error::Failure;

/// # Errors
/// A wrong address, or what ended the transfer before its time.
pub(crate) fn run(args: TransmitArgs) -> Result<(), Failure> {
    let mut transfer = Transfer::new(args.input, args.output, args.stream);
    transfer.source_time = args.source_time;
    transfer.run()
}
