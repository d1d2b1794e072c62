package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bellhop/engine/record"
	"bellhop/engine/store"
)

// backlog collects the metrics of the deliveries that are not done. It reads the store each time the metrics are asked
// for. It leaves out the deliveries that are being sent.
type backlog struct {
	ctx   context.Context
	store *store.Store
	log   *slog.Logger
}

var (
	openDeliveries = prometheus.NewDesc("bellhop_deliveries", "Deliveries that are waiting, pending, retrying, dead or held now.", []string{"state"}, nil)
	oldestDelivery = prometheus.NewDesc("bellhop_deliveries_oldest_seconds", "How long ago the oldest delivery in this state was made.", []string{"state"}, nil)
)

var _ prometheus.Collector = backlog{}

func (b backlog) Describe(to chan<- *prometheus.Desc) {
	to <- openDeliveries
	to <- oldestDelivery
}

func (b backlog) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	list, err := b.store.Backlogs(ctx)
	if err != nil {
		b.log.Error("open deliveries could not be counted for the metrics", "error", err)
		return
	}
	counts := map[record.State]store.Backlog{}
	for _, l := range list {
		counts[l.State] = l
	}
	for _, state := range []record.State{record.Waiting, record.Pending, record.Retrying, record.Dead, record.Held} {
		l := counts[state]
		age := 0.0
		if l.Count > 0 {
			age = time.Since(l.Oldest).Seconds()
		}
		to <- prometheus.MustNewConstMetric(openDeliveries, prometheus.GaugeValue, float64(l.Count), string(state))
		to <- prometheus.MustNewConstMetric(oldestDelivery, prometheus.GaugeValue, age, string(state))
	}
}
