from django.urls import path

from franchises.views import FranchiseViewSet, StoreViewSet

urlpatterns = [
    path("api/franchise", FranchiseViewSet.as_view({"get": "list", "post": "open"})),
    path("api/franchise/<id:pk>", FranchiseViewSet.as_view({"get": "of_user", "delete": "close"})),
    path("api/franchise/<id:franchise_id>/store", StoreViewSet.as_view({"post": "open"})),
    path("api/franchise/<id:franchise_id>/store/<id:store_id>", StoreViewSet.as_view({"delete": "close"})),
]
