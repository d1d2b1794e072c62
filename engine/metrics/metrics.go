// Package metrics has the Prometheus metrics of Bellhop.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics are all metrics of one process. They are safe for concurrent use.
type Metrics struct {
	Registry *prometheus.Registry

	Answers         *prometheus.CounterVec   // webhooks answered, by source and HTTP status
	AnswerSeconds   prometheus.Histogram     // from the start of handling, when the header is read, to the answer
	Events          *prometheus.CounterVec   // events stored, by source and status
	Problems        *prometheus.CounterVec   // parts of payloads that could not be read, by source and field
	Deliveries      *prometheus.CounterVec   // deliveries made by rules, by action and state
	Attempts        *prometheus.CounterVec   // attempts, by action and outcome
	AttemptSeconds  *prometheus.HistogramVec // duration of attempts, by action
	Postponed       *prometheus.CounterVec   // deliveries put off without an attempt, by reason
	ConditionErrors prometheus.Counter       // conditions that failed on an event
	RuleFiles       *prometheus.GaugeVec     // rule files, by status
	Rules           prometheus.Gauge         // rules in force
	Reloads         *prometheus.CounterVec   // changes of rule files, by result
	Configurations  *prometheus.CounterVec   // changes of the configuration, by result
	Nodes           prometheus.Gauge         // processes that share the store, this one among them; 0 for a store in a folder
	NodesDiffer     prometheus.Gauge         // those of them that have other rules than this one
}

// New returns metrics that are registered in their own registry.
func New() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "bellhop", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: "bellhop", Name: name, Help: help}
	}
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		Answers:  counter("webhook_answers_total", "Webhooks answered.", "source", "code"),
		AnswerSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "bellhop", Name: "webhook_answer_seconds", Help: "Time to answer a webhook, until it is durable.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		Events:     counter("events_total", "Events made durable.", "source", "status"),
		Problems:   counter("payload_problems_total", "Parts of payloads that could not be read.", "source", "field"),
		Deliveries: counter("deliveries_total", "Deliveries made by rules.", "action", "state"),
		Attempts:   counter("attempts_total", "Attempts to deliver.", "action", "outcome"),
		AttemptSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "bellhop", Name: "attempt_seconds", Help: "Time that an attempt took.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"action"}),
		Postponed:       counter("postponed_total", "Deliveries put off without an attempt, because of their destination.", "why"),
		ConditionErrors: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "bellhop", Name: "condition_errors_total", Help: "Conditions that failed on an event."}),
		RuleFiles:       prometheus.NewGaugeVec(gauge("rule_files", "Rule files, by status."), []string{"status"}),
		Rules:           prometheus.NewGauge(gauge("rules", "Rules in force.")),
		Reloads:         counter("reloads_total", "Changes of rule files noticed.", "result"),
		Configurations:  counter("configuration_reloads_total", "Changes of the configuration noticed.", "result"),
		Nodes:           prometheus.NewGauge(gauge("nodes", "Servers that share the database, this one among them; 0 without a shared database.")),
		NodesDiffer:     prometheus.NewGauge(gauge("nodes_differ", "Servers whose rules differ from the rules here.")),
	}
	m.Registry.MustRegister(m.Answers, m.AnswerSeconds, m.Events, m.Problems, m.Deliveries, m.Attempts, m.AttemptSeconds, m.Postponed,
		m.ConditionErrors, m.RuleFiles, m.Rules, m.Reloads, m.Configurations, m.Nodes, m.NodesDiffer,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}
