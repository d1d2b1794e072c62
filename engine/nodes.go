package engine

import (
	"slices"

	"bellhop/engine/store"
)

// compare is called every few seconds with the processes that share the store. It logs when the rules of some begin to
// differ from the rules here, and when they are the same again.
func (e *Engine) compare(nodes []store.Node) {
	own := e.folder.Snapshot().ID
	var others []string
	for _, n := range nodes {
		if !n.Self && n.Rules != own && !slices.Contains(others, n.Name) {
			others = append(others, n.Name)
		}
	}
	e.metrics.Nodes.Set(float64(len(nodes)))
	e.metrics.NodesDiffer.Set(float64(len(others)))
	switch before := e.differ.Swap(int64(len(others))); {
	case before == 0 && len(others) > 0:
		e.log.Warn("other nodes have other rules than this one", "node", e.cfg.NodeName(), "others", others)
	case before > 0 && len(others) == 0:
		e.log.Info("all nodes have the same rules", "node", e.cfg.NodeName())
	}
}
