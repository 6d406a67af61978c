//! Times a call: wall and CPU time per call, minimum and median over batches.
//!
//! The same way as `bench/peers/onnxruntime_bench.py` measures, so that the two can stand in one table: warm-up, then batches of calls of
//! about two milliseconds until enough time has passed. A batch's mean is one sample.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

const BATCH: Duration = Duration::from_millis(2);
const SAMPLES_MIN: usize = 50;

/// Seconds per call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) wall_median_s: f64,
    pub(crate) cpu_median_s: f64,
}

/// Calls `call` for about `seconds` and says what one call took.
///
/// # Errors
/// What the call fails with.
pub(crate) fn measure(
    seconds: f64,
    mut call: impl FnMut() -> Result<(), String>,
) -> Result<Figures, String> {
    let warm_until = Instant::now() + Duration::from_secs_f64(seconds.min(0.3));
    let (start, mut warm_calls) = (Instant::now(), 0_u32);
    while Instant::now() < warm_until || warm_calls == 0 {
        call()?;
        warm_calls += 1;
    }
    let per_call = start.elapsed() / warm_calls;
    let calls = (BATCH.as_nanos() / per_call.as_nanos().max(1)).clamp(1, 1 << 20);
    let calls = u32::try_from(calls).unwrap_or(1);
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < until || wall.len() < SAMPLES_MIN {
        let (wall_start, cpu_start) = (Instant::now(), ProcessTime::now());
        for _ in 0..calls {
            call()?;
        }
        cpu.push(cpu_start.elapsed().as_secs_f64() / f64::from(calls));
        wall.push(wall_start.elapsed().as_secs_f64() / f64::from(calls));
    }
    Ok(Figures {
        wall_median_s: median(&mut wall),
        cpu_median_s: median(&mut cpu),
    })
}

/// The middle value; 0 of none.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
