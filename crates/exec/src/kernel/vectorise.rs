//! Runs safe code compiled for an instruction set: the compiler's own vectoriser then uses its registers.
//!
//! Whatever is inlined into [`Work::run`] is compiled once for each instruction set, so steps that are plain loops need no code by
//! hand. What is not inlined stays portable code: slower, never different.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "calling code compiled for an instruction set requires knowing that the machine has it"
    )
)]

use crate::Isa;

/// Something to compute.
pub(crate) trait Work {
    /// Computes. Implementations are `#[inline(always)]`, and what they call as well.
    fn run(self);
}

/// Computes with the registers of `isa`, which this machine must have: an [`Engine`](crate::Engine) is not made otherwise.
pub(crate) fn vectorise(isa: Isa, work: impl Work) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => {
            // SAFETY: `Isa::is_available` held when the engine was made, so the machine has these features.
            unsafe { avx512(work) }
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            // SAFETY: as above.
            unsafe { avx2(work) }
        }
        // NEON is part of every AArch64 target that Rust has, so portable code uses it already.
        _ => work.run(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn avx512(work: impl Work) {
    work.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(work: impl Work) {
    work.run();
}
