//! The standard variables of OpenTelemetry, as operators of clusters inject them.

use stowage_config::{Otlp, OtlpProtocol, SampleRatio};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

/// The collector that the environment names; the configuration file comes first. `None` where it names
/// none, or says that nothing is to be traced. What is not understood is told to `warn`, in a sentence that
/// names the variable, and passed over: whoever injects variables into all pods does not mean to
/// stop this one (OpenTelemetry specification, "Environment variables", "Enum" and "Numeric").
pub(crate) fn from_environment(
    variable: impl Fn(&str) -> Option<String>,
    mut warn: impl FnMut(String),
) -> Option<Otlp> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let is = |name: &str, expected: &str| {
        variable(name).is_some_and(|value| value.eq_ignore_ascii_case(expected))
    };
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return None;
    }
    let endpoint = variable(ENDPOINT)?;
    let mut otlp = match endpoint.parse() {
        Ok(endpoint) => Otlp::new(endpoint),
        Err(error) => {
            warn(format!("{ENDPOINT}: {error}; nothing is traced"));
            return None;
        }
    };
    match variable(PROTOCOL).as_deref() {
        None | Some("http/protobuf") => {}
        Some("grpc") => otlp.protocol = OtlpProtocol::Grpc,
        Some(_) => {
            warn(format!("{PROTOCOL} is not http/protobuf or grpc; http/protobuf is taken"));
        }
    }
    if let Some(name) = variable("OTEL_SERVICE_NAME") {
        otlp.service_name = name;
    }
    match variable(SAMPLER).as_deref() {
        Some("always_off") => return None,
        Some("parentbased_always_off") => otlp.sample_ratio = SampleRatio::new(0.0)?,
        Some("always_on" | "parentbased_always_on") => {}
        None | Some("traceidratio" | "parentbased_traceidratio") => {
            let ratio = variable(SAMPLER_ARG).map(|it| it.parse().ok().and_then(SampleRatio::new));
            match ratio {
                None => {}
                Some(Some(ratio)) => otlp.sample_ratio = ratio,
                Some(None) => {
                    warn(format!("{SAMPLER_ARG} is no part from 0 to 1; all requests are traced"));
                }
            }
        }
        Some(_) => warn(format!("{SAMPLER} is none that is known; all requests are traced")),
    }
    Some(otlp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_may_name_a_collector_and_what_is_not_understood_is_told() {
        const AT: (&str, &str) = (ENDPOINT, "http://c:4318");
        type Row<'a> = (&'a [(&'a str, &'a str)], Option<(OtlpProtocol, f64)>, Option<&'a str>);
        let http = |ratio| Some((OtlpProtocol::Http, ratio));
        let table: &[Row<'_>] = &[
            (&[], None, None),
            (&[(ENDPOINT, "")], None, None),
            (&[AT], http(1.0), None),
            (&[AT, (PROTOCOL, "grpc")], Some((OtlpProtocol::Grpc, 1.0)), None),
            (&[AT, ("OTEL_SDK_DISABLED", "True")], None, None),
            (&[AT, ("OTEL_TRACES_EXPORTER", "none")], None, None),
            (&[AT, (SAMPLER, "always_off")], None, None),
            (&[AT, (SAMPLER, "parentbased_always_off")], http(0.0), None),
            (&[AT, (SAMPLER, "always_on"), (SAMPLER_ARG, "0.5")], http(1.0), None),
            (&[AT, (SAMPLER, "traceidratio"), (SAMPLER_ARG, "0.5")], http(0.5), None),
            (&[AT, (SAMPLER_ARG, "0.25")], http(0.25), None),
            (&[AT, (PROTOCOL, "http/json")], http(1.0), Some(PROTOCOL)),
            (&[AT, (SAMPLER_ARG, "2")], http(1.0), Some(SAMPLER_ARG)),
            (
                &[AT, (SAMPLER, "parentbased_jaeger_remote"), (SAMPLER_ARG, "endpoint=http://j")],
                http(1.0),
                Some(SAMPLER),
            ),
            (&[(ENDPOINT, "c:4318")], None, Some(ENDPOINT)),
        ];
        for (variables, expected, warned) in table {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let mut warnings = Vec::new();
            let found = from_environment(variable, |warning| warnings.push(warning));
            let found = found.map(|otlp| (otlp.protocol, otlp.sample_ratio.as_f64()));
            assert_eq!(found, *expected, "{variables:?}");
            assert_eq!(
                warnings.len(),
                usize::from(warned.is_some()),
                "{variables:?}: {warnings:?}"
            );
            let names = warned.is_none_or(|warned| warnings[0].starts_with(warned));
            assert!(names, "{variables:?}: {warnings:?}");
        }
    }
}
