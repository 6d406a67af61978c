//! ONNX files end to end: parsed, evaluated, compared with tract, imported, run exactly.

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod operators;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod quantised;
#[cfg(test)]
mod random;
#[cfg(test)]
mod recurrent;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod support;
#[cfg(test)]
mod trees;
#[cfg(test)]
mod values;
